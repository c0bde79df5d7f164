/** The light curve of one object: in time and folded, band by band, with the same observation marked in both. */

import { Chart } from "./chart.js";
import { bandStyle, token } from "./colours.js";
import { emptyState, fill, h } from "./dom.js";
import { Folder, foldedChart, phases } from "./fold.js";
import { count, number } from "./format.js";
import { line, points, ring } from "./marks.js";

/** @param {{bands: string[], unit: string, magnitudes: boolean}} curve @returns {string} "V [mag]", "g, r [mag]", "flux [nJy]" */
export function valueLabel({ bands, unit, magnitudes }) {
  const named = bands.filter((band) => band && band !== "none"); // "none": the source names no band
  const quantity = named.length && named.length <= 4 ? named.join(", ") : magnitudes ? "magnitude" : "flux";
  const stated = unit && unit !== "unknown" && unit !== quantity ? unit : magnitudes ? "mag" : "";
  return stated ? `${quantity} [${stated}]` : quantity;
}

/** @typedef {{time: Float64Array, value: Float64Array, error: Float64Array, band: number[], bands: string[], unit: string, magnitudes: boolean, time_scale: string, shown: number, total: number, period: number|null, t0: number|null}} Curve */

const toFloats = (/** @type {(number|null)[]} */ values) => Float64Array.from(values, (value) => value ?? NaN);

/** @param {any} answer of the server @returns {Curve} */
const parseCurve = (answer) => ({
  ...answer,
  time: toFloats(answer.time),
  value: toFloats(answer.value),
  error: toFloats(answer.error),
});

/** @param {Float64Array} values @returns {number} */
function median(values) {
  const known = values.filter(Number.isFinite).sort();
  return known.length ? known[Math.floor(known.length / 2)] : 0;
}

/**
 * Where a light curve is laid over another: their medians together, or their brightest points, in a band that both have.
 *
 * @param {Curve} curve
 * @param {Curve} other
 * @param {boolean} atMaximum at the brightest points, of transients
 * @returns {{days: number, value: (v: number) => number, text: string}} what the other one is shifted by, and in words
 */
export function alignment(curve, other, atMaximum) {
  const band = curve.bands.find((name) => other.bands.includes(name));
  const inBand = (/** @type {Curve} */ one) =>
    band === undefined ? one.value : one.value.map((v, i) => (one.bands[one.band[i]] === band ? v : NaN));
  const brightest = (/** @type {Curve} */ one) => {
    const faintness = inBand(one).map((v) => (Number.isNaN(v) ? Infinity : one.magnitudes ? v : -v));
    return faintness.reduce((best, v, i) => (v < faintness[best] ? i : best), 0);
  };
  const [here, there] = atMaximum ? [brightest(curve), brightest(other)] : [0, 0];
  const level = (/** @type {Curve} */ one, /** @type {number} */ i) => (atMaximum ? one.value[i] : median(inBand(one)));
  const [goal, start] = [level(curve, here), level(other, there)];
  const days = atMaximum ? curve.time[here] - other.time[there] : 0;
  const signed = (/** @type {number} */ n) => `${n < 0 ? "−" : "+"}${number(Math.abs(n), 3)}`;
  const inTime = days ? `${signed(days)} d, ` : "";
  if (!other.magnitudes && !curve.magnitudes && start > 0 && goal > 0)
    return { days, value: (v) => (v / start) * goal, text: `${inTime}× ${number(goal / start, 3)}` };
  const side = other.magnitudes === curve.magnitudes ? 1 : -1;
  const text = side === 1 ? `${inTime}${signed(goal - start)}${curve.magnitudes ? " mag" : ""}` : `${inTime}upside down`;
  return { days, value: (v) => side * (v - start) + goal, text };
}

/** Two cycles side by side. @param {Float64Array} values @param {number} [shift] of the second */
function twoCycles(values, shift = 0) {
  const doubled = new Float64Array(2 * values.length);
  doubled.set(values);
  doubled.set(shift ? values.map((value) => value + shift) : values, values.length);
  return doubled;
}

export class LightCurveView {
  /** @param {(period: number|null) => void} onperiod */
  constructor(onperiod) {
    this.onperiod = onperiod;
    /** @type {{name: string, shift: string, time: Float64Array, value: Float64Array, band: number[], bands: string[], period: number|null, t0: number}|null} */
    this.other = null; // another light curve, drawn below, at the level of this one
    this.tools = h("div", { class: "curve-tools" });
    this.saveTime = h("span", {});
    this.saveFold = h("span", {});
    this.hidden = new Set();
    /** @type {Curve|null} */
    this.curve = null;
    this.t0 = 0; // of phase zero [d]
    this.marked = /** @type {number|null} */ (null);
    this.folder = new Folder(() => this.fold());
    this.legend = h("div", { class: "legend", role: "group", "aria-label": "Bands" });
    this.readout = h("span", { class: "readout dim" });
    this.timeHost = h("div", { class: "plot tall" });
    this.foldHost = h("div", { class: "plot tall" });
    this.element = h(
      "div",
      { class: "curves" },
      h("section", {}, h("h3", {}, "Light curve", this.legend, this.readout, this.saveTime), this.tools, this.timeHost),
      h("section", { class: "folded" }, h("h3", {}, "Folded", this.saveFold), this.folder.element, this.foldHost),
    );
  }

  /** Draw another light curve below this one. @param {string|null} name @param {any} [answer] of the server @param {boolean} [atMaximum] with their brightest points together */
  compare(name, answer, atMaximum = false) {
    const { curve } = this;
    if (name === null || !curve || !answer) this.other = null;
    else {
      const other = parseCurve(answer);
      const { days, value, text: shift } = alignment(curve, other, atMaximum);
      const t0 = (other.t0 ?? 0) + days;
      this.other = { ...other, name, shift, time: other.time.map((t) => t + days), value: other.value.map(value), t0 };
    }
    this.fit();
    this.draw();
  }

  /** Show all points, of the other light curve too. */
  fit() {
    const { curve, other, timeChart, foldChart } = this;
    if (!curve || !timeChart || !foldChart) return;
    const both = (/** @type {"time"|"value"} */ name) => (other ? [...curve[name], ...other[name]] : curve[name]);
    timeChart.sx.fit(both("time"), 0.02);
    timeChart.sy.fit(both("value"));
    foldChart.sy.setHome(.../** @type {[number, number]} */ (timeChart.sy.home));
  }

  /** @param {any} answer @param {number|null} [fold] the period that it stays folded at [d] */
  show(answer, fold = null) {
    this.close();
    const curve = (this.curve = parseCurve(answer));
    this.hidden = new Set([...this.hidden].filter((band) => curve.bands.includes(band)));
    if (this.hidden.size === curve.bands.length) this.hidden.clear();
    fill(this.timeHost);
    fill(this.foldHost);
    const label = valueLabel(curve);
    const onhover = (/** @type {number|null} */ i) => this.mark(i === null ? null : i % curve.time.length);
    const x = { label: `time [d${curve.time_scale && curve.time_scale !== "unknown" ? `, ${curve.time_scale}` : ""}]` };
    this.timeChart = new Chart(this.timeHost, {
      x,
      y: { label, reversed: curve.magnitudes },
      name: `Light curve, ${curve.total} observations in ${curve.bands.join(", ")}`,
      onhover,
    });
    this.foldChart = foldedChart(this.foldHost, label, curve.magnitudes);
    this.foldChart.options.onhover = onhover;
    this.timeChart.onthemechange = () => this.draw();
    this.fit();
    const times = curve.time.filter(Number.isFinite);
    this.folder.span = times.length
      ? times.reduce((a, b) => Math.max(a, b)) - times.reduce((a, b) => Math.min(a, b))
      : 1;
    this.t0 = curve.t0 ?? times[0] ?? 0;
    this.drawLegend();
    this.folder.setBase(fold ?? curve.period);
  }

  /** @param {string} title @param {string} text @param {string} [command] */
  empty(title, text, command) {
    this.close();
    fill(this.timeHost, emptyState(title, text, command));
    fill(this.foldHost);
    fill(this.legend);
    this.readout.textContent = "";
    this.folder.setBase(null);
  }

  close() {
    this.timeChart?.close();
    this.foldChart?.close();
    this.curve = this.timeChart = this.foldChart = this.other = null;
    this.marked = null;
  }

  /** A single band has the neutral colour. @param {string} band @param {number} k */
  style(band, k) {
    if (/** @type {Curve} */ (this.curve).bands.length > 1) return bandStyle(band, k);
    return { colour: token("--trace"), shape: /** @type {const} */ ("circle") };
  }

  drawLegend() {
    const { curve } = this;
    if (!curve) return;
    const toggle = (/** @type {string} */ band) => {
      if (!this.hidden.delete(band)) this.hidden.add(band);
      this.drawLegend();
      this.draw();
    };
    const item = (/** @type {string} */ band, /** @type {number} */ k) => {
      const dot = h("i", { style: { "--tint": this.style(band, k).colour } });
      return h(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-pressed": String(!this.hidden.has(band)),
          title: "Show or hide this band",
          onclick: () => toggle(band),
        },
        dot,
        band,
      );
    };
    fill(this.legend, curve.bands.length > 1 || curve.bands[0] !== "none" ? curve.bands.map(item) : []);
    this.drawReadout();
  }

  drawReadout() {
    const { curve, marked } = this;
    if (!curve) return;
    if (marked === null) {
      this.readout.textContent =
        curve.shown < curve.total
          ? `${count(curve.shown)} of ${count(curve.total)} points`
          : `${count(curve.total)} points`;
      return;
    }
    const error = curve.error[marked] > 0 ? ` ± ${number(curve.error[marked], 2)}` : "";
    this.readout.textContent = `${curve.bands[curve.band[marked]]}  ${number(curve.time[marked], 9)}  ${number(curve.value[marked], 5)}${error}`;
  }

  /** @param {number|null} i the observation under the pointer */
  mark(i) {
    if (i === this.marked) return;
    this.marked = i;
    this.drawReadout();
    this.ring();
  }

  fold() {
    const { curve, folder } = this;
    this.foldHost.querySelector(".empty")?.remove();
    const unfolded = Boolean(curve) && folder.period === null;
    if (unfolded)
      this.foldHost.append(
        emptyState(
          "",
          "No period yet: press f to fold at the highest peak, click a peak of the periodogram, or type one.",
        ),
      );
    this.foldHost.classList.toggle("unfolded", !curve || unfolded);
    this.phase = curve && folder.period ? phases(curve.time, folder.period, this.t0) : null;
    if (this.foldChart) this.foldChart.canvas.hidden = !this.phase;
    this.onperiod(folder.period);
    this.draw();
  }

  draw() {
    const { curve, timeChart, foldChart, phase } = this;
    if (!curve || !timeChart || !foldChart) return;
    const n = curve.time.length;
    const styles = curve.bands.map((band, k) =>
      this.hidden.has(band) ? /** @type {any} */ (null) : this.style(band, k),
    );
    const style = {
      styles,
      group: (/** @type {number} */ i) => curve.band[i % n],
      size: n > 5000 ? 2.5 : n > 1000 ? 3.2 : n > 200 ? 4.2 : 5.5,
      alpha: n > 5000 ? 0.45 : n > 1000 ? 0.65 : 0.9,
    };
    const inTime = { x: curve.time, y: curve.value };
    timeChart.points = this.visible(inTime);
    timeChart.marks = [...this.ghost(false), points({ ...inTime, error: curve.error, ...style })];
    timeChart.redraw();
    if (!phase) return;
    const folded = { x: twoCycles(phase, 1), y: twoCycles(curve.value) };
    foldChart.points = this.visible(folded);
    foldChart.marks = [
      line({ x: [1, 1], y: foldChart.sy.home, colour: token("--axis"), width: 1 }),
      ...this.ghost(true),
      points({ ...folded, error: twoCycles(curve.error), ...style }),
    ];
    foldChart.redraw();
  }

  /** The other light curve. @param {boolean} folded on its own period, or on that of this one */
  ghost(folded) {
    if (!this.other) return [];
    const { time, value, band, bands, period, t0 } = this.other;
    const x = folded ? twoCycles(phases(time, period ?? this.folder.period ?? 1, t0), 1) : time;
    const several = bands.length > 1 && /** @type {Curve} */ (this.curve).bands.length > 1;
    const shape = /** @type {const} */ ("diamond");
    const styles = bands.map((name, k) => {
      if (!several) return { colour: token("--warn"), shape };
      return this.hidden.has(name) ? /** @type {any} */ (null) : { colour: bandStyle(name, k).colour, shape };
    });
    const group = (/** @type {number} */ i) => band[i % band.length];
    return [points({ x, y: folded ? twoCycles(value) : value, group, styles, size: 4, alpha: 0.6 })];
  }

  /** Ring the observation under the pointer in both charts. */
  ring() {
    const { curve, timeChart, foldChart, phase, marked } = this;
    if (!curve || !timeChart || !foldChart) return;
    const rings = (/** @type {number[]} */ at) =>
      marked === null ? [] : at.map((x) => ring({ x, y: curve.value[marked], colour: token("--fg"), size: 6 }));
    timeChart.overlay = rings([curve.time[marked ?? 0]]);
    timeChart.refresh();
    foldChart.overlay = phase ? rings([phase[marked ?? 0], phase[marked ?? 0] + 1]) : [];
    foldChart.refresh();
  }

  /** Points of hidden bands don't react to the pointer. @param {{x: ArrayLike<number>, y: ArrayLike<number>}} all */
  visible({ x, y }) {
    const { curve } = this;
    if (!this.hidden.size || !curve) return { x, y };
    return {
      x: Float64Array.from(x, (value, i) =>
        this.hidden.has(curve.bands[curve.band[i % curve.band.length]]) ? NaN : value,
      ),
      y,
    };
  }
}
