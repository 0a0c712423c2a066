// GPT-2's tokenizer from its merges alone: text to ids and back, with the ids of transformers.

/** The one text that is a token by itself wherever it is typed, as transformers has it: the end of a story. */
const END = "<|endoftext|>";
/** Letters and digits that the tokenizer of transformers does not know yet: those of Unicode 17. */
const UNKNOWN = [
  String.raw`[\u088F\u0C5C\u0CDC\uA7CE\uA7CF\uA7D2\uA7D4\uA7F1\u{10940}-\u{10959}\u{10EC5}-\u{10EC7}`,
  String.raw`\u{11DB0}-\u{11DDB}\u{11DE0}-\u{11DE9}\u{16EA0}-\u{16EB8}\u{16EBB}-\u{16ED3}\u{16FF2}-\u{16FF6}`,
  String.raw`\u{187F8}-\u{187FF}\u{18D09}-\u{18D1E}\u{18D80}-\u{18DF2}\u{1E6C0}-\u{1E6DE}\u{1E6E0}-\u{1E6E2}`,
  String.raw`\u{1E6E4}\u{1E6E5}\u{1E6E7}-\u{1E6ED}\u{1E6F0}-\u{1E6F4}\u{1E6FE}\u{1E6FF}\u{2B73A}-\u{2B73F}`,
  String.raw`\u{2CEA2}-\u{2CEAD}\u{323B0}-\u{33479}]`,
].join("");
/** White space. JavaScript's \s is another: it has U+FEFF, and lacks U+0085. */
const SPACE = String.raw`\p{White_Space}`;
/** Merges work inside pieces: what an apostrophe begins; a word, number or signs, with a space before; and spaces. */
const PIECES = new RegExp(
  String.raw`'(?:[sdmt]|ll|re|ve)| ?(?:(?!${UNKNOWN})\p{L})+| ?(?:(?!${UNKNOWN})\p{N})+` +
    String.raw`| ?(?:[^${SPACE}\p{L}\p{N}]|${UNKNOWN})+|${SPACE}+(?!\P{White_Space})|${SPACE}+`,
  "gu",
);
const BYTES = 256; // the first ids are single bytes; id BYTES + n is what merge n makes
const NO_MERGE = 0x7fffffff;
const STALE = -1; // a pair that has to be looked up again
const UTF8 = new TextEncoder();

/** The byte of each of the first ids: those that are printed come first. */
const BYTE_OF_ID = bytesInOrder();
const ID_OF_BYTE = new Uint8Array(BYTES);
BYTE_OF_ID.forEach((byte, id) => {
  ID_OF_BYTE[byte] = id;
});

function bytesInOrder() {
  const bytes = Array.from({ length: BYTES }, (_, byte) => byte);
  const printed = (/** @type {number} */ byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  return Uint8Array.from([...bytes.filter(printed), ...bytes.filter((byte) => !printed(byte))]);
}

export class Tokenizer {
  /** @type {Uint16Array} */ #merges;
  /** @type {Uint32Array} the pairs of ids that merge, hashed */ #pairs;
  /** @type {Int32Array} which merge each of them is */ #ranks;
  /** @type {number} */ #end;

  /**
   * @param {Uint16Array} merges the ids of the left and the right part of each merge
   * @param {number} end the id of the end of a story
   */
  constructor(merges, end) {
    this.#merges = merges;
    this.#end = end;
    const size = 1 << (33 - Math.clz32(merges.length)); // at most a quarter is used
    this.#pairs = new Uint32Array(size);
    this.#ranks = new Int32Array(size).fill(NO_MERGE);
    for (let n = 0; 2 * n < merges.length; n++) {
      const slot = this.#slot(merges[2 * n], merges[2 * n + 1]);
      this.#pairs[slot] = (merges[2 * n] << 16) | merges[2 * n + 1];
      this.#ranks[slot] = n;
    }
  }

  /**
   * The ids of a text. Half a pair of UTF-16, which no encoding takes, counts as U+FFFD, as in `text_of` of Python.
   * @param {string} text
   * @param {number} [most] how many ids are wanted at most: the rest of a long text costs nothing
   * @returns {number[]}
   */
  encode(text, most = Infinity) {
    /** @type {number[]} */
    const ids = [];
    for (const [n, part] of text.split(END).entries()) {
      if (n > 0) ids.push(this.#end);
      for (const [piece] of part.matchAll(PIECES)) {
        if (ids.length >= most) return ids.slice(0, most);
        for (const id of this.#merged(UTF8.encode(piece))) ids.push(id);
      }
    }
    return ids.slice(0, most);
  }

  /**
   * The text of some ids; bytes that are no text (half an emoji) become U+FFFD.
   * @param {Iterable<number>} ids
   */
  decode(ids) {
    const parts = Array.from(ids, (id) => this.bytes(id));
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let length = 0;
    for (const part of parts) {
      bytes.set(part, length);
      length += part.length;
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  }

  /**
   * The bytes of one token.
   * @param {number} id
   * @returns {Uint8Array}
   */
  bytes(id) {
    if (id === this.#end) return UTF8.encode(END);
    /** @type {number[]} */
    const bytes = [];
    const rest = [id];
    for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
      const merge = part - BYTES;
      if (merge < 0) bytes.push(BYTE_OF_ID[part]);
      else rest.push(this.#merges[2 * merge + 1], this.#merges[2 * merge]);
    }
    return Uint8Array.from(bytes);
  }

  /**
   * The ids of one piece: the earliest merge first, all its pairs from left to right, until no pair merges.
   * @param {Uint8Array} bytes
   */
  #merged(bytes) {
    const ids = Int32Array.from(bytes, (byte) => ID_OF_BYTE[byte]);
    const ranks = new Int32Array(ids.length).fill(STALE); // of each id with the next
    let length = ids.length;
    for (;;) {
      ranks[length - 1] = NO_MERGE;
      let first = NO_MERGE;
      for (let n = 0; n < length; n++) {
        if (ranks[n] === STALE) ranks[n] = this.#ranks[this.#slot(ids[n], ids[n + 1])];
        if (ranks[n] < first) first = ranks[n];
      }
      if (first === NO_MERGE) return ids.subarray(0, length);
      let to = 0;
      for (let n = 0; n < length; n++, to++) {
        const merges = ranks[n] === first;
        ids[to] = merges ? BYTES + first : ids[n];
        ranks[to] = merges ? STALE : ranks[n];
        if (!merges) continue;
        if (to > 0) ranks[to - 1] = STALE;
        n++;
      }
      length = to;
    }
  }

  /**
   * Where a pair of ids is in the table, or the free slot where it would be.
   * @param {number} left
   * @param {number} right
   */
  #slot(left, right) {
    const pair = ((left << 16) | right) >>> 0;
    const last = this.#pairs.length - 1;
    let slot = (Math.imul(pair, 0x9e3779b1) >>> 8) & last;
    while (this.#ranks[slot] !== NO_MERGE && this.#pairs[slot] !== pair) slot = (slot + 1) & last;
    return slot;
  }
}
