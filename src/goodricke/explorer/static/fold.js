/** Folding a light curve at a period, and the controls to find the right one. */

import { Chart } from "./chart.js";
import { fill, h } from "./dom.js";
import { period as formatPeriod } from "./format.js";

export const MULTIPLES = /** @type {[string, number][]} */ ([
  ["P/2", 0.5],
  ["P", 1],
  ["2P", 2],
  ["3P", 3],
]);
const FINE = 5; // the slider moves the frequency by this many times 1 / time span, either way

/**
 * Phases between 0 and 1.
 *
 * @param {ArrayLike<number>} time [d]
 * @param {number} period [d]
 * @param {number} t0 [d] of phase zero
 * @returns {Float64Array}
 */
export function phases(time, period, t0) {
  return Float64Array.from(time, (t) => {
    const cycles = (t - t0) / period;
    return cycles - Math.floor(cycles);
  });
}

/**
 * Change a period by a share of the frequency resolution: over the time span, +1 adds FINE cycles.
 *
 * @param {number} period [d]
 * @param {number} fine between -1 and 1
 * @param {number} span [d] from the first to the last observation
 * @returns {number} [d]
 */
export const tunePeriod = (period, fine, span) => 1 / (1 / period + (fine * FINE) / Math.max(span, period));

export class Folder {
  /** @param {(period: number|null) => void} onchange */
  constructor(onchange) {
    this.onchange = onchange;
    this.base = /** @type {number|null} */ (null);
    this.multiple = 1;
    this.span = 1;
    this.field = /** @type {HTMLInputElement} */ (
      h("input", {
        type: "text",
        inputmode: "decimal",
        id: "period",
        "aria-label": "Period in days",
        onchange: () => this.setBase(Number(this.field.value)),
      })
    );
    this.slider = /** @type {HTMLInputElement} */ (
      h("input", {
        type: "range",
        min: -1,
        max: 1,
        step: 0.002,
        value: 0,
        "aria-label": "Fine period",
        title: "Fine: ±5 cycles over the whole light curve; double-click: centre",
        oninput: () => this.update(),
        ondblclick: () => this.centre(),
      })
    );
    this.frequency = h("span", { class: "dim" });
    this.buttons = h("div", { class: "segments", role: "group", "aria-label": "Multiples of the period" });
    this.element = h(
      "div",
      { class: "fold-controls" },
      this.buttons,
      h("label", { class: "period" }, "P", this.field, "d"),
      this.slider,
      this.frequency,
    );
    this.drawButtons();
  }

  /** @returns {number|null} [d] that the light curve is folded at */
  get period() {
    if (!this.base) return null;
    return tunePeriod(this.base * this.multiple, Number(this.slider.value), this.span);
  }

  /** @param {number|null} base [d] @param {number} [multiple] */
  setBase(base, multiple = 1) {
    this.base = base && base > 0 && Number.isFinite(base) ? base : null;
    this.multiple = multiple;
    this.slider.value = "0";
    this.update();
  }

  centre() {
    this.slider.value = "0";
    this.update();
  }

  /** @param {number} multiple */
  setMultiple(multiple) {
    this.multiple = multiple;
    this.centre();
  }

  /** P/2, P, 2P, 3P in turn. */
  nextMultiple() {
    const at = MULTIPLES.findIndex(([, value]) => value === this.multiple);
    this.setMultiple(MULTIPLES[(at + 1) % MULTIPLES.length][1]);
  }

  update() {
    const { period } = this;
    this.field.value = period === null ? "" : String(Number(period.toPrecision(9)));
    this.frequency.textContent =
      period === null ? "" : `${period < 0.1 ? `${formatPeriod(period)} · ` : ""}f = ${(1 / period).toPrecision(6)} /d`;
    this.slider.disabled = period === null;
    this.drawButtons();
    this.onchange(period);
  }

  drawButtons() {
    const button = ([name, value]) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(Boolean(this.base) && value === this.multiple),
          disabled: !this.base,
          onclick: () => this.setMultiple(value),
        },
        name,
      );
    if (this.buttons.children.length !== MULTIPLES.length) return fill(this.buttons, MULTIPLES.map(button));
    MULTIPLES.forEach(([, value], k) => {
      this.buttons.children[k].setAttribute("aria-pressed", String(Boolean(this.base) && value === this.multiple));
      /** @type {HTMLButtonElement} */ (this.buttons.children[k]).disabled = !this.base;
    });
  }
}

/** @param {Element} host @param {string} label of the vertical axis @param {boolean} magnitudes */
export function foldedChart(host, label, magnitudes) {
  const chart = new Chart(host, {
    x: { label: "phase" },
    y: { label, reversed: magnitudes },
    name: "Folded light curve, two cycles",
  });
  chart.sx.setHome(0, 2);
  return chart;
}
