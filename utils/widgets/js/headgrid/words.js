// Everything that HeadGrid shows or reads out, so that another language needs no other widget.

export const WORDS = {
  show: "Show",
  change: "change",
  only: "attention weights",
  layer: "Layer",
  head: "Head",
  layers: "layer",
  heads: "head",
  /** @type {(what: string, layers: number, heads: number) => string} */
  thumbs: (what, layers, heads) =>
    `${what}: ${layers} ${layers === 1 ? "layer" : "layers"} × ${heads} ${heads === 1 ? "head" : "heads"}`,
  zoom: "One head, large",
  query: "query: who looks",
  key: "key: who is looked at",
  /** @type {(query: string, key: string, parts: string) => string} */
  cell: (query, key, parts) => `query ${query}, key ${key}: ${parts}`,
  /** @type {(name: string, weight: string) => string} */
  value: (name, weight) => `${name} ${weight}`,
  hidden: "hidden",
  /** @type {(layer: number, head: number, names: string[], moved: string | null, nan: number) => string} */
  status: (layer, head, names, moved, nan) =>
    `Layer ${layer}, head ${head}.` +
    (moved === null ? "" : ` From ${names[0]} to ${names[1]}, ${moved} of the weight moved.`) +
    (nan ? ` ${nan} ${nan === 1 ? "row is" : "rows are"} NaN.` : ""),
  /** @type {(query: string, q: number) => string} */
  row: (query, q) => `Where query ${query} (row ${q}) looks`,
  keyColumn: "key",
  /** @type {(shown: number, all: number) => string} */
  onlyLargest: (shown, all) => `Shown are the ${shown} keys with most weight, of ${all}.`,
  nan: "NaN",
  /** @type {(reason: string) => string} */
  broken: (reason) => `The attention maps could not be read: ${reason}`,
  help: "Click a map to see it large. Keys: arrows, Home, End move; Enter goes into the large map, Escape back out.",
};
