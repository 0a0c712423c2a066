// The arithmetic of a transformer in AssemblyScript, with 128-bit SIMD: `npm run kernel` compiles it to kernel.wasm.
//
// Numbers are float32. Matrices stay int8, in panels of eight outputs whose weights lie side by side, input by input;
// the last panel is filled up with zeros (simd.js lays them out). Each output of a matrix is summed
// over its inputs in their order, however many rows there are, so that a cached step gives what a full pass gives.
// All pointers are addresses in bytes; nothing is allocated here.

const PANEL: usize = 8; // outputs that are computed together
const TILE: usize = 4; // rows of x that share one reading of a panel
const FLOAT: usize = 4; // bytes
const LOG2_E: f32 = 1.44269504088896341;
const LN2_HIGH: f32 = 0.693359375; // so few bits that its products with whole numbers are exact
const LN2_LOW: f32 = -2.12194440e-4;

@inline
function splat(address: usize): v128 {
  return v128.load32_splat(address);
}

// @ts-expect-error: decorator
@inline
function plusProduct(sum: v128, a: v128, b: v128): v128 {
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** The first or the last four of eight int8 as floats. */
// @ts-expect-error: decorator
@inline
function lowFloats(wide: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(wide));
}

// @ts-expect-error: decorator
@inline
function highFloats(wide: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(wide));
}

/** out[0…3] = sum · scales + bias, or that added to what is there. Of the last panel only `count` outputs exist. */
// @ts-expect-error: decorator
@inline
function finish(out: usize, sum: v128, scales: usize, bias: usize, adds: bool, count: usize): void {
  let y = f32x4.add(f32x4.mul(sum, v128.load(scales)), v128.load(bias));
  if (count >= 4) {
    if (adds) y = f32x4.add(y, v128.load(out));
    v128.store(out, y);
    return;
  }
  for (let n: usize = 0; n < count; n++) {
    const value = f32x4.extract_lane(y, 0);
    store<f32>(out, adds ? value + load<f32>(out) : value);
    y = v128.shuffle<f32>(y, y, 1, 2, 3, 0);
    out += FLOAT;
  }
}

// @ts-expect-error: decorator
@inline
function less(count: usize, by: usize): usize {
  return count > by ? count - by : 0;
}

/**
 * out = x · matrixᵀ + bias for `rows` rows, or that added to what out holds.
 * @param panels int8
 * @param scales float32, one an output, up to a whole panel
 * @param bias likewise
 * @param line room for one panel as floats
 */
export function linear(
  out: usize, x: usize, rows: usize, panels: usize, scales: usize, bias: usize,
  outputs: usize, columns: usize, adds: bool, line: usize,
): void {
  if (rows === 1) {
    single(out, x, panels, scales, bias, outputs, columns, adds);
    return;
  }
  for (let first: usize = 0; first < outputs; first += PANEL) {
    for (let n: usize = 0; n < columns; n++) {
      const wide = i16x8.extend_low_i8x16_s(v128.load64_zero(panels + n * PANEL));
      v128.store(line + n * PANEL * FLOAT, lowFloats(wide));
      v128.store(line + n * PANEL * FLOAT, highFloats(wide), 16);
    }
    const count = outputs - first;
    let row: usize = 0;
    for (; row + TILE <= rows; row += TILE) {
      tile(out + row * outputs * FLOAT, x + row * columns * FLOAT, line, scales, bias, outputs, columns, adds, count);
    }
    for (; row < rows; row++) {
      strip(out + row * outputs * FLOAT, x + row * columns * FLOAT, line, scales, bias, columns, adds, count);
    }
    panels += PANEL * columns;
    scales += PANEL * FLOAT;
    bias += PANEL * FLOAT;
    out += PANEL * FLOAT;
  }
}

/** Four rows and one panel. */
function tile(
  out: usize, x: usize, line: usize, scales: usize, bias: usize,
  outputs: usize, columns: usize, adds: bool, count: usize,
): void {
  const next = columns * FLOAT;
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
  const end = x + next;
  let weight0: v128, weight1: v128, value: v128;
  for (; x < end; x += FLOAT) {
    weight0 = v128.load(line);
    weight1 = v128.load(line, 16);
    value = splat(x);
    a0 = plusProduct(a0, weight0, value);
    a1 = plusProduct(a1, weight1, value);
    value = splat(x + next);
    b0 = plusProduct(b0, weight0, value);
    b1 = plusProduct(b1, weight1, value);
    value = splat(x + 2 * next);
    c0 = plusProduct(c0, weight0, value);
    c1 = plusProduct(c1, weight1, value);
    value = splat(x + 3 * next);
    d0 = plusProduct(d0, weight0, value);
    d1 = plusProduct(d1, weight1, value);
    line += PANEL * FLOAT;
  }
  const step = outputs * FLOAT;
  finish(out, a0, scales, bias, adds, count);
  finish(out + step, b0, scales, bias, adds, count);
  finish(out + 2 * step, c0, scales, bias, adds, count);
  finish(out + 3 * step, d0, scales, bias, adds, count);
  count = less(count, 4);
  finish(out + 16, a1, scales + 16, bias + 16, adds, count);
  finish(out + step + 16, b1, scales + 16, bias + 16, adds, count);
  finish(out + 2 * step + 16, c1, scales + 16, bias + 16, adds, count);
  finish(out + 3 * step + 16, d1, scales + 16, bias + 16, adds, count);
}

/** One row and one panel. */
function strip(
  out: usize, x: usize, line: usize, scales: usize, bias: usize, columns: usize, adds: bool, count: usize,
): void {
  let a0 = f32x4.splat(0), a1 = a0;
  const end = x + columns * FLOAT;
  for (; x < end; x += FLOAT) {
    const value = splat(x);
    a0 = plusProduct(a0, v128.load(line), value);
    a1 = plusProduct(a1, v128.load(line, 16), value);
    line += PANEL * FLOAT;
  }
  finish(out, a0, scales, bias, adds, count);
  finish(out + 16, a1, scales + 16, bias + 16, adds, less(count, 4));
}

/** One row alone: four panels at once, straight from int8, since each weight is used once. */
function single(
  out: usize, x: usize, panels: usize, scales: usize, bias: usize, outputs: usize, columns: usize, adds: bool,
): void {
  const size = PANEL * columns;
  const end = x + columns * FLOAT;
  for (let first: usize = 0; first < outputs; first += 4 * PANEL) {
    const left = outputs - first;
    // A panel that is not there is read as the first one, and not written.
    const second = left > PANEL ? size : 0;
    const third = left > 2 * PANEL ? size + size : 0;
    const fourth = left > 3 * PANEL ? size + size + size : 0;
    let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    let from = panels;
    let wide: v128, value: v128;
    for (let at = x; at < end; at += FLOAT) {
      value = splat(at);
      wide = i16x8.extend_low_i8x16_s(v128.load64_zero(from));
      a0 = plusProduct(a0, lowFloats(wide), value);
      a1 = plusProduct(a1, highFloats(wide), value);
      wide = i16x8.extend_low_i8x16_s(v128.load64_zero(from + second));
      b0 = plusProduct(b0, lowFloats(wide), value);
      b1 = plusProduct(b1, highFloats(wide), value);
      wide = i16x8.extend_low_i8x16_s(v128.load64_zero(from + third));
      c0 = plusProduct(c0, lowFloats(wide), value);
      c1 = plusProduct(c1, highFloats(wide), value);
      wide = i16x8.extend_low_i8x16_s(v128.load64_zero(from + fourth));
      d0 = plusProduct(d0, lowFloats(wide), value);
      d1 = plusProduct(d1, highFloats(wide), value);
      from += PANEL;
    }
    finish(out, a0, scales, bias, adds, left);
    finish(out + 16, a1, scales + 16, bias + 16, adds, less(left, 4));
    finish(out + 32, b0, scales + 32, bias + 32, adds, less(left, 8));
    finish(out + 48, b1, scales + 48, bias + 48, adds, less(left, 12));
    finish(out + 64, c0, scales + 64, bias + 64, adds, less(left, 16));
    finish(out + 80, c1, scales + 80, bias + 80, adds, less(left, 20));
    finish(out + 96, d0, scales + 96, bias + 96, adds, less(left, 24));
    finish(out + 112, d1, scales + 112, bias + 112, adds, less(left, 28));
    panels += 4 * size;
    scales += 4 * PANEL * FLOAT;
    bias += 4 * PANEL * FLOAT;
    out += 4 * PANEL * FLOAT;
  }
}

// @ts-expect-error: decorator
@inline
function laneSum(a: v128): f32 {
  const halves = f32x4.add(a, v128.shuffle<f32>(a, a, 2, 3, 0, 1));
  return f32x4.extract_lane(halves, 0) + f32x4.extract_lane(halves, 1);
}

/** Each row with mean 0 and variance 1, times weight, plus bias. The width is a multiple of 4. */
export function layerNorm(
  out: usize, x: usize, rows: usize, width: usize, weight: usize, bias: usize, epsilon: f32,
): void {
  const bytes = width * FLOAT;
  for (let row: usize = 0; row < rows; row++) {
    let sum = f32x4.splat(0);
    for (let n: usize = 0; n < bytes; n += 16) sum = f32x4.add(sum, v128.load(x + n));
    const mean = f32x4.splat(laneSum(sum) / <f32>width);
    sum = f32x4.splat(0);
    for (let n: usize = 0; n < bytes; n += 16) {
      const distance = f32x4.sub(v128.load(x + n), mean);
      sum = plusProduct(sum, distance, distance);
    }
    const scale = f32x4.splat(1 / Mathf.sqrt(laneSum(sum) / <f32>width + epsilon));
    for (let n: usize = 0; n < bytes; n += 16) {
      const normed = f32x4.mul(f32x4.sub(v128.load(x + n), mean), scale);
      v128.store(out + n, plusProduct(v128.load(bias + n), normed, v128.load(weight + n)));
    }
    x += bytes;
    out += bytes;
  }
}

/**
 * e to the power of x, within two units in the last place: x is n · ln 2 + r, and e to the r is a polynomial.
 * Below -87, where float32 has no normal numbers, it is 0; above 88 it is that of 88. NaN stays NaN.
 */
// @ts-expect-error: decorator
@inline
function exp(x: v128): v128 {
  const tiny = f32x4.lt(x, f32x4.splat(-87));
  const clamped = f32x4.min(f32x4.max(x, f32x4.splat(-87)), f32x4.splat(88));
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(LOG2_E)));
  const r = f32x4.sub(f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(LN2_HIGH))), f32x4.mul(n, f32x4.splat(LN2_LOW)));
  let power = f32x4.splat(1.0 / 5040.0);
  power = plusProduct(f32x4.splat(1.0 / 720.0), power, r);
  power = plusProduct(f32x4.splat(1.0 / 120.0), power, r);
  power = plusProduct(f32x4.splat(1.0 / 24.0), power, r);
  power = plusProduct(f32x4.splat(1.0 / 6.0), power, r);
  power = plusProduct(f32x4.splat(0.5), power, r);
  power = plusProduct(f32x4.splat(1), power, r);
  power = plusProduct(f32x4.splat(1), power, r);
  const exponent = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return v128.andnot(f32x4.mul(power, exponent), tiny);
}

/** gelu_new in place: x · (1 + tanh u) / 2 is x / (1 + e to the -2u). The length is a multiple of 4. */
export function gelu(x: usize, length: usize): void {
  const end = x + length * FLOAT;
  for (; x < end; x += 16) {
    const value = v128.load(x);
    const cube = f32x4.mul(f32x4.mul(value, value), value);
    const u = f32x4.mul(f32x4.splat(-1.5957691216057308), plusProduct(value, f32x4.splat(0.044715), cube));
    v128.store(x, f32x4.div(value, f32x4.add(f32x4.splat(1), exp(u))));
  }
}

/**
 * The attention of one head: `rows` queries look at `keys` keys. The size of a head is a multiple of 4.
 * Nothing is left out that a bias hides: NaN has to spread, and a row without a key to be uniform, as in torch.
 * @param weights gets (rows, keys)
 * @param mixed gets the weighted values, (rows, width), in the columns of this head
 * @param queries (rows, width), from the first column of this head
 * @param cache (keys, 2 × width), key and value of each, from the first column of this head
 * @param bias (rows, keys), added to the scores
 * @param line room for one row of scores and three more
 */
export function attend(
  weights: usize, mixed: usize, queries: usize, cache: usize, bias: usize,
  rows: usize, keys: usize, width: usize, size: usize, line: usize,
): void {
  const scaling: f32 = 1 / Mathf.sqrt(<f32>size);
  for (let row: usize = 0; row < rows; row++) {
    score(line, queries, cache, bias, keys, width, size, scaling);
    softmax(line, keys);
    memory.copy(weights, line, keys * FLOAT);
    mix(mixed, line, cache + width * FLOAT, keys, width, size);
    weights += keys * FLOAT;
    bias += keys * FLOAT;
    queries += width * FLOAT;
    mixed += width * FLOAT;
  }
}

/** The scores of one query; after the last one -Infinity, up to a multiple of four. */
function score(
  line: usize, query: usize, cache: usize, bias: usize, keys: usize, width: usize, size: usize, scaling: f32,
): void {
  for (let k: usize = 0; k < keys; k++) {
    let sum = f32x4.splat(0);
    for (let n: usize = 0; n < size * FLOAT; n += 16) {
      sum = plusProduct(sum, v128.load(query + n), v128.load(cache + n));
    }
    store<f32>(line + k * FLOAT, laneSum(sum) * scaling + load<f32>(bias + k * FLOAT));
    cache += 2 * width * FLOAT;
  }
  for (let k = keys; (k & 3) !== 0; k++) store<f32>(line + k * FLOAT, -Infinity);
}

/** In place. The largest of numbers with NaN among them is NaN, and -Infinity less itself too. */
function softmax(line: usize, keys: usize): void {
  const end = line + keys * FLOAT;
  let most = v128.load(line);
  for (let at = line; at < end; at += 16) most = f32x4.max(most, v128.load(at));
  most = f32x4.max(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.max(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  let sum = f32x4.splat(0);
  for (let at = line; at < end; at += 16) {
    const power = exp(f32x4.sub(v128.load(at), most));
    v128.store(at, power);
    sum = f32x4.add(sum, power);
  }
  const total = f32x4.splat(laneSum(sum));
  for (let at = line; at < end; at += 16) v128.store(at, f32x4.div(v128.load(at), total));
}

/** The values, each times its weight. */
function mix(mixed: usize, line: usize, values: usize, keys: usize, width: usize, size: usize): void {
  for (let n: usize = 0; n < size * FLOAT; n += 16) {
    let sum = f32x4.splat(0);
    let value = values + n;
    for (let k: usize = 0; k < keys; k++) {
      sum = plusProduct(sum, splat(line + k * FLOAT), v128.load(value));
      value += 2 * width * FLOAT;
    }
    v128.store(mixed + n, sum);
  }
}
