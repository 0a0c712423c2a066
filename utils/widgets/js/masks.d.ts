// The table of masks.py, which _base.py writes as the module masks.js.

export type Parameters = Record<string, any>;

export type Parameter = {
  name: string;
  label: string;
  least: number;
  kind: "count" | "lengths";
  default: (k_len: number) => number;
};

export type Preset = {
  label: string;
  rule: string;
  parameters: Parameter[];
  sees: (parameters: Parameters, Q: number, K: number, document: number[]) => (q: number, k: number) => number | boolean;
};

export const PRESETS: Record<string, Preset>;
