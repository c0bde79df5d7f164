/** The periodogram of one object; a click folds at the nearest peak. */

import { Chart } from "./chart.js";
import { token } from "./colours.js";
import { emptyState, fill, h } from "./dom.js";
import { number, period as formatPeriod } from "./format.js";
import { line, points } from "./marks.js";

/** @typedef {{frequency: number, period: number, power: number, amplitude: number, relation: string}} Peak */

export class PeriodogramView {
  /**
   * @param {(period: number) => void} onchoice
   * @param {(band: string) => void} onband
   * @param {(frequency: number|null, harmonics: number) => void} onsubtract null: as observed again
   */
  constructor(onchoice, onband, onsubtract) {
    this.onchoice = onchoice;
    this.onsubtract = onsubtract;
    this.save = h("span", {});
    this.period = /** @type {number|null} */ (null);
    this.host = h("div", { class: "plot" });
    this.peaks = h("div", { class: "peaks", role: "group", "aria-label": "Highest peaks" });
    this.bands = /** @type {HTMLSelectElement} */ (
      h("select", { "aria-label": "Band of the periodogram", hidden: true, onchange: () => onband(this.bands.value) })
    );
    this.note = h("span", { class: "dim readout" });
    this.element = h("section", {}, h("h3", {}, "Periodogram", this.bands, this.note, this.save), this.host, this.peaks);
  }

  /** @param {string[]} bands of the light curve */
  setBands(bands) {
    this.bands.hidden = bands.length < 2;
    fill(
      this.bands,
      h("option", { value: "" }, "all bands"),
      bands.map((band) => h("option", { value: band }, band)),
    );
  }

  /**
   * @param {{frequency: number[], power: number[], noise: number[]|null, quantity: string, peaks: Peak[], band: string, note: string, best: number|null, convention: string}} answer
   * @param {number|null} [subtracted] a frequency that the light curve has lost [1/d]
   */
  show(answer, subtracted = null) {
    this.close();
    this.answer = answer;
    fill(this.host);
    this.chart = new Chart(this.host, {
      x: { label: "frequency [1/d]" },
      y: { label: answer.quantity },
      name: "Periodogram; the buttons below fold at its highest peaks",
      onhover: (i) => this.hover(i),
      onclick: (_, { x }) => this.choose(x),
    });
    this.chart.onthemechange = () => this.draw();
    this.chart.points = { x: answer.frequency, y: answer.power };
    this.chart.sx.fit(answer.frequency, 0.005);
    this.chart.sy.fit(answer.power, 0.06);
    this.bands.value =
      [...this.bands.options].some(({ value }) => value === answer.band) && this.bands.value
        ? answer.band
        : this.bands.value;
    const peak = (/** @type {Peak} */ item) =>
      h(
        "button",
        {
          type: "button",
          class: item.relation ? "related" : "",
          title: `f = ${number(item.frequency, 6)} /d, ${answer.quantity} ${number(item.power, 3)}${item.relation ? `; ${item.relation}` : ""}`,
          onclick: () => this.onchoice(item.period),
        },
        formatPeriod(item.period),
        item.relation && h("small", {}, item.relation),
      );
    // one sine is that of the highest peak; a series is of the period that shows in the fold
    const frequencyOf = (/** @type {number} */ harmonics) =>
      harmonics > 1 && this.period ? 1 / this.period : answer.peaks[0].frequency;
    const less = (/** @type {number} */ harmonics, /** @type {string} */ text, /** @type {string} */ title) =>
      h(
        "button",
        { type: "button", class: "quiet", title, onclick: () => this.onsubtract(frequencyOf(harmonics), harmonics) },
        text,
      );
    fill(
      this.peaks,
      h("span", { class: "dim" }, answer.peaks.length ? "Peaks:" : "No significant peak"),
      answer.convention &&
        answer.best &&
        h(
          "button",
          { type: "button", title: "The period in the convention of the class", onclick: () => this.onchoice(/** @type {number} */ (answer.best)) },
          formatPeriod(answer.best),
          h("small", {}, answer.convention),
        ),
      answer.peaks.map(peak),
      subtracted !== null
        ? h("button", { type: "button", onclick: () => this.onsubtract(null, 1) }, `× less ${number(subtracted, 6)} /d`)
        : answer.peaks.length > 0 && [
            less(1, "− sine", "Prewhiten: subtract the sine of the highest peak, show the residuals"),
            less(4, "− 4 harmonics", "Prewhiten: subtract the period that it is folded on with its harmonics, show the residuals"),
          ],
    );
    this.hover(null);
    this.draw();
  }

  /** @param {string} title @param {string} [text] */
  empty(title, text = "") {
    this.close();
    fill(this.host, emptyState(title, text));
    fill(this.peaks);
    this.note.textContent = "";
  }

  close() {
    this.chart?.close();
    this.chart = this.answer = null;
  }

  /** @param {number|null} i */
  hover(i) {
    const { answer } = this;
    if (!answer) return;
    this.note.textContent =
      i === null
        ? (answer.note ?? "")
        : `f ${number(answer.frequency[i], 6)} /d · P ${formatPeriod(1 / answer.frequency[i])}`;
    this.note.title = this.note.textContent; // where it has no room
  }

  /** Fold at the peak within eight pixels of the click, or at the highest power near it. @param {number} frequency */
  choose(frequency) {
    const { chart, answer } = this;
    if (!chart || !answer || frequency <= 0) return;
    const at = chart.sx.at(frequency);
    const distance = (/** @type {Peak} */ item) => Math.abs(chart.sx.at(item.frequency) - at);
    const near = answer.peaks.filter((item) => distance(item) < 8).sort((a, b) => distance(a) - distance(b))[0];
    this.onchoice(near?.period ?? this.highest(frequency, chart));
  }

  /** The highest power within four pixels. @param {number} frequency @param {Chart} chart @returns {number} period [d] */
  highest(frequency, chart) {
    const { frequency: all, power } = /** @type {any} */ (this.answer);
    const half = Math.abs(chart.sx.valueAt(chart.sx.at(frequency) + 4) - frequency);
    let best = -1;
    for (let i = 0; i < all.length; i++)
      if (Math.abs(all[i] - frequency) <= half && (best < 0 || power[i] > power[best])) best = i;
    return 1 / (best < 0 ? frequency : all[best]);
  }

  /** @returns {number|null} period of the highest peak that isn't of the nights, in the convention of the class [d] */
  get bestPeriod() {
    return this.answer?.best ?? null;
  }

  /** @param {number|null} period that the light curve is folded at */
  setPeriod(period) {
    this.period = period;
    this.draw();
  }

  draw() {
    const { chart, answer, period } = this;
    if (!chart || !answer) return;
    const tops = { x: answer.peaks.map((item) => item.frequency), y: answer.peaks.map((item) => item.power) };
    const folded = period
      ? [line({ x: [1 / period, 1 / period], y: chart.sy.home, colour: token("--accent"), width: 1.5, dash: [4, 3] })]
      : [];
    chart.marks = [
      line({ x: answer.frequency, y: answer.power, colour: token("--trace"), width: 1 }),
      ...(answer.noise ? [line({ x: answer.frequency, y: answer.noise, colour: token("--dim"), width: 1, dash: [2, 3] })] : []),
      ...folded,
      points({
        ...tops,
        group: () => 0,
        styles: [{ colour: token("--accent"), shape: "circle" }],
        size: 5,
        alpha: 0.9,
      }),
    ];
    chart.redraw();
  }
}
