/** A histogram of one column on which a range is drawn: drag across the bars, or type the two ends. */

import { api, latestOnly } from "./api.js";
import { column } from "./columns.js";
import { fill, h } from "./dom.js";
import { figureMenu } from "./exporting.js";
import { number, short } from "./format.js";
import { showError } from "./messages.js";
import { set, setFilter, state, where } from "./state.js";

const BINS = 48;
const DEFAULT_RANGES = ["p_max", "novelty"];

/** @returns {string[]} columns whose histograms are shown */
export const shownRanges = () => (state.ranges ?? DEFAULT_RANGES).filter(column);

export class RangeFilter {
  /** @param {import("./columns.js").Column} column */
  constructor(column) {
    this.column = column;
    this.key = `range:${column.name}`;
    this.edges = [0, 1];
    this.request = latestOnly((signal) => api.histogram(where(this.key), column.name, BINS, signal));
    this.bars = h("div", { class: "bars", "aria-hidden": "true" });
    this.brush = h("div", { class: "brush", hidden: true });
    this.plot = h(
      "div",
      { class: "histogram", onpointerdown: (event) => this.press(event), ondblclick: () => setFilter(this.key) },
      this.bars,
      this.brush,
    );
    this.low = this.end("least");
    this.high = this.end("most");
    this.note = h("span", { class: "dim" }, "Loading…");
    const remove = h(
      "button",
      {
        class: "quiet small",
        type: "button",
        "aria-label": `Remove the histogram of ${column.name}`,
        title: "Remove",
        onclick: () => this.remove(),
      },
      "×",
    );
    const save = figureMenu((format) => [
      "figures/histogram",
      { where: where(this.key), column: column.name, bins: BINS, format },
    ]);
    this.element = h(
      "section",
      { class: "range" },
      h("h3", { title: column.about }, column.name, save, remove),
      this.plot,
      h("div", { class: "ends" }, this.low, this.note, this.high),
    );
    this.refresh();
  }

  /** @param {string} which */
  end(which) {
    return /** @type {HTMLInputElement} */ (
      h("input", {
        type: "text",
        inputmode: "decimal",
        "aria-label": `${this.column.name} at ${which}`,
        onchange: () => this.applyEnds(),
      })
    );
  }

  remove() {
    setFilter(this.key);
    set({ ranges: shownRanges().filter((name) => name !== this.column.name) });
  }

  /** @returns {[number|null, number|null]} the range of the filter */
  get range() {
    const ends = state.filters[this.key] ?? [];
    const value = (/** @type {string} */ op) =>
      /** @type {any} */ (ends).find((/** @type {any} */ item) => item.op === op)?.value ?? null;
    return [value(">="), value("<=")];
  }

  /** @param {number|null} low @param {number|null} high */
  setRange(low, high) {
    const { name } = this.column;
    const conditions = [
      low !== null && { column: name, op: ">=", value: low },
      high !== null && { column: name, op: "<=", value: high },
    ];
    setFilter(this.key, /** @type {object[]} */ (conditions.filter(Boolean)));
  }

  applyEnds() {
    const read = (/** @type {HTMLInputElement} */ input) =>
      input.value.trim() && Number.isFinite(Number(input.value)) ? Number(input.value) : null;
    this.setRange(read(this.low), read(this.high));
  }

  async refresh() {
    try {
      const answer = await this.request();
      if (answer) this.draw(answer.edges, answer.counts);
    } catch (error) {
      this.draw([], []);
      this.note.textContent = "Query failed";
      showError(error);
    }
  }

  /** @param {number[]} edges @param {number[]} counts */
  draw(edges, counts) {
    this.edges = edges.length > 1 ? edges : [0, 1];
    this.note.textContent = counts.length ? "" : "no values";
    const most = Math.max(...counts, 1);
    // square root: a bin of ten is visible beside one of a million
    const height = (/** @type {number} */ n) => (n ? Math.max(Math.sqrt(n / most) * 100, 3) : 0);
    fill(
      this.bars,
      counts.map((n, k) =>
        h("i", {
          style: { height: `${height(n)}%` },
          title: `${number(edges[k], 4)} – ${number(edges[k + 1], 4)}: ${short(n)}`,
        }),
      ),
    );
    this.drawRange();
  }

  drawRange() {
    const [first, last] = [this.edges[0], this.edges[this.edges.length - 1]];
    const [low, high] = this.range;
    const share = (/** @type {number} */ value) =>
      Math.min(Math.max((value - first) / (last - first || 1), 0), 1) * 100;
    const [from, to] = [low === null ? 0 : share(low), high === null ? 100 : share(high)];
    this.brush.hidden = low === null && high === null;
    this.brush.style.left = `${from}%`;
    this.brush.style.width = `${Math.max(to - from, 0.5)}%`;
    [...this.bars.children].forEach((bar, k) =>
      bar.classList.toggle(
        "out",
        ((k + 0.5) / this.bars.children.length) * 100 < from || ((k + 0.5) / this.bars.children.length) * 100 > to,
      ),
    );
    this.low.value = low === null ? "" : String(low);
    this.high.value = high === null ? "" : String(high);
    this.low.placeholder = this.bars.children.length ? number(first, 4) : "";
    this.high.placeholder = this.bars.children.length ? number(last, 4) : "";
  }

  /** @param {PointerEvent} event */
  press(event) {
    const box = this.plot.getBoundingClientRect();
    const value = (/** @type {PointerEvent} */ at) => {
      const share = Math.min(Math.max((at.clientX - box.left) / box.width, 0), 1);
      return this.edges[0] + share * (this.edges[this.edges.length - 1] - this.edges[0]);
    };
    const start = value(event);
    this.plot.setPointerCapture(event.pointerId);
    const ends = (/** @type {PointerEvent} */ at) =>
      [start, value(at)].sort((a, b) => a - b).map((end) => Number(end.toPrecision(5)));
    const drag = (/** @type {PointerEvent} */ at) => {
      const [low, high] = ends(at);
      this.brush.hidden = false;
      const span = this.edges[this.edges.length - 1] - this.edges[0] || 1;
      this.brush.style.left = `${((low - this.edges[0]) / span) * 100}%`;
      this.brush.style.width = `${((high - low) / span) * 100}%`;
    };
    const stop = (/** @type {PointerEvent} */ at) => {
      this.plot.removeEventListener("pointermove", drag);
      const [low, high] = ends(at);
      if (Math.abs(at.clientX - event.clientX) > 3) this.setRange(low, high);
      else this.drawRange();
    };
    this.plot.addEventListener("pointermove", drag);
    this.plot.addEventListener("pointerup", stop, { once: true });
  }
}
