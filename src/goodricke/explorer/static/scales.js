/** From data to pixels and back: linear or logarithmic, either way round, with ticks at round numbers. */

export class Scale {
  /** @param {{log?: boolean, reversed?: boolean}} [options] */
  constructor({ log = false, reversed = false } = {}) {
    this.log = log;
    this.reversed = reversed;
    this.view = [0, 1]; // in transformed units (log10 where log)
    this.home = [0, 1];
    this.pixels = [0, 1]; // of the lower and the upper end of the axis as drawn, not of the values
  }

  /** @param {number} value @returns {number} */
  transform(value) {
    return this.log ? Math.log10(value) : value;
  }

  /** @param {number} value @returns {number} pixel */
  at(value) {
    return this.fromUnit(this.transform(value));
  }

  /** @param {number} unit in transformed units @returns {number} pixel */
  fromUnit(unit) {
    const [low, high] = this.view;
    const [start, end] = this.reversed ? [this.pixels[1], this.pixels[0]] : this.pixels;
    return start + ((unit - low) / (high - low)) * (end - start);
  }

  /** @param {ArrayLike<number>} values @returns {Float32Array} pixels */
  pixelsOf(values) {
    const pixels = new Float32Array(values.length);
    const start = this.fromUnit(0);
    const slope = this.fromUnit(1) - start;
    if (Math.abs(start) > 1e7) for (let i = 0; i < pixels.length; i++) pixels[i] = this.at(values[i]);
    else if (this.log) for (let i = 0; i < pixels.length; i++) pixels[i] = start + slope * Math.log10(values[i]);
    else for (let i = 0; i < pixels.length; i++) pixels[i] = start + slope * values[i];
    return pixels;
  }

  /** @param {number} pixel @returns {number} in transformed units */
  unitAt(pixel) {
    const [low, high] = this.view;
    const [start, end] = this.reversed ? [this.pixels[1], this.pixels[0]] : this.pixels;
    return low + ((pixel - start) / (end - start)) * (high - low);
  }

  /** @param {number} pixel @returns {number} value */
  valueAt(pixel) {
    const unit = this.unitAt(pixel);
    return this.log ? 10 ** unit : unit;
  }

  /**
   * Show the extent of the values, with a margin.
   *
   * @param {ArrayLike<number>} values
   * @param {number} [margin] share of the extent
   * @param {number} [cut] share of the values to leave out at either end: a few outliers would squeeze the rest
   */
  fit(values, margin = 0.04, cut = 0) {
    let kept = Float64Array.from(values, (value) => this.transform(value ?? NaN)).filter(Number.isFinite);
    if (!kept.length) kept = Float64Array.of(0, 1);
    kept.sort();
    const low = kept[Math.floor(cut * (kept.length - 1))];
    const high = kept[Math.ceil((1 - cut) * (kept.length - 1))];
    const pad = (high - low) * margin || Math.abs(high) * 0.01 || 0.5;
    this.setHome(low - pad, high + pad);
  }

  /** @param {number} low @param {number} high in transformed units */
  setHome(low, high) {
    this.home = [low, high];
    this.view = [low, high];
  }

  /** @param {number} pixel that stays where it is @param {number} factor below 1 shows less */
  zoom(pixel, factor) {
    const centre = this.unitAt(pixel);
    this.view = /** @type {[number, number]} */ (this.view.map((end) => centre + (end - centre) * factor));
  }

  /** @param {number} pixels */
  pan(pixels) {
    const [low, high] = this.view;
    const [start, end] = this.reversed ? [this.pixels[1], this.pixels[0]] : this.pixels;
    const shift = (-pixels / (end - start)) * (high - low);
    this.view = [low + shift, high + shift];
  }

  /** @param {number} wanted about how many @returns {{at: number, label: string}[]} */
  ticks(wanted) {
    const [low, high] = this.view;
    if (this.log && high - low > 1.2)
      return decades(low, high, wanted).map((value) => ({ at: this.at(value), label: power(value) }));
    const [from, to] = this.log ? [10 ** low, 10 ** high] : [low, high];
    const step = roundStep((to - from) / Math.max(wanted, 1));
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const ticks = [];
    for (let k = Math.ceil(from / step - 1e-9); k * step <= to + step * 1e-9; k++) {
      ticks.push({ at: this.at(k * step), label: plain(k * step, digits) });
    }
    return ticks;
  }
}

/** @param {number} rough @returns {number} the nearest of 1, 2, 5 times a power of ten */
function roundStep(rough) {
  const base = 10 ** Math.floor(Math.log10(rough));
  const factor = rough / base;
  return base * (factor < 1.5 ? 1 : factor < 3.5 ? 2 : factor < 7.5 ? 5 : 10);
}

/** @param {number} low @param {number} high as powers of ten @param {number} wanted @returns {number[]} */
function decades(low, high, wanted) {
  const step = Math.max(1, Math.ceil((high - low) / Math.max(wanted, 1)));
  const inner = high - low < 2.5 && wanted > 3 ? [1, 2, 5] : [1];
  const values = [];
  for (let power = Math.floor(low); power <= high; power += step) {
    for (const item of inner) values.push(item * 10 ** power);
  }
  return values.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

/** @param {number} value @param {number} digits after the point */
function plain(value, digits) {
  if (Math.abs(value) >= 1e7 || digits > 6) return value.toExponential(2);
  return value.toFixed(digits).replace("-", "−");
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** @param {number} value @returns {string} 0.01, 100, 2×10⁵ */
function power(value) {
  if (value >= 0.001 && value < 1e5) return String(Number(value.toPrecision(3)));
  const exponent = Math.floor(Math.log10(value) + 1e-9);
  const raised = String(Math.abs(exponent)).replace(/\d/g, (digit) => RAISED[Number(digit)]);
  const factor = Math.round(value / 10 ** exponent);
  return `${factor === 1 ? "" : `${factor}×`}10${exponent < 0 ? "⁻" : ""}${raised}`;
}
