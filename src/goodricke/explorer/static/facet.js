/** The number of objects with each value of a column, as bars that filter when clicked. */

import { api, latestOnly } from "./api.js";
import { fill, h } from "./dom.js";
import { count, short } from "./format.js";
import { classIndex, glyph, tint } from "./glyph.js";
import { showError } from "./messages.js";
import { setFilter, state, where } from "./state.js";

const SHOWN_VALUES = 12;

export class Facet {
  /** @param {string} column @param {string} title */
  constructor(column, title) {
    this.column = column;
    this.key = `values:${column}`;
    this.all = false;
    this.request = latestOnly((signal) => api.counts(where(this.key), column, signal));
    this.list = h("div", { class: "facet", role: "group", "aria-label": title });
    this.list.append(h("p", { class: "dim" }, "Loading…"));
    this.element = h("section", {}, h("h3", {}, title), this.list);
    this.refresh();
  }

  /** @returns {any[]} values that the filter selects; none: all */
  get chosen() {
    return /** @type {any} */ (state.filters[this.key]?.[0])?.value ?? [];
  }

  async refresh() {
    try {
      const answer = await this.request();
      if (!answer) return;
      this.counts = answer.counts;
      this.otherCount = answer.other ?? 0;
      this.draw();
    } catch (error) {
      fill(this.list, h("p", { class: "dim" }, "Query failed"));
      showError(error);
    }
  }

  draw() {
    const { chosen } = this;
    const counts = this.counts.filter((/** @type {any} */ item) => item.value !== null && item.value !== undefined);
    for (const value of chosen)
      if (!counts.some((/** @type {any} */ item) => item.value === value)) counts.push({ value, count: 0 });
    const most = Math.max(...counts.map((/** @type {any} */ item) => item.count), 1);
    const shown = this.all ? counts : counts.slice(0, SHOWN_VALUES);
    const more = counts.length - shown.length;
    fill(
      this.list,
      shown.map((/** @type {any} */ item) => this.bar(item, most, chosen)),
      !shown.length && h("p", { class: "dim" }, "none"),
      this.all &&
        this.otherCount > 0 &&
        h("p", { class: "dim" }, `and ${short(this.otherCount)} objects of other values`),
      more > 0 &&
        h(
          "button",
          { class: "quiet more", type: "button", onclick: () => ((this.all = true), this.draw()) },
          `${more} more`,
        ),
    );
  }

  /** @param {{value: any, count: number}} one @param {number} most @param {any[]} chosen */
  bar({ value, count: n }, most, chosen) {
    const on = chosen.includes(value);
    const bar = tint(
      h("span", { class: "fill", style: { width: `${(n / most) * 100}%` } }),
      this.column === "class" ? classIndex(value) : -1,
    );
    return h(
      "button",
      {
        type: "button",
        class: `value ${on || !chosen.length ? "" : "out"}`,
        role: "checkbox",
        "aria-checked": String(on),
        "aria-label": `${value}: ${short(n)} ${n === 1 ? "object" : "objects"}`,
        title: `${value}: ${count(n)}`,
        onclick: () => this.toggle(value),
      },
      this.column === "class" ? glyph(value) : h("i", { class: "tick" }),
      h("span", { class: "name" }, String(value)),
      h("span", { class: "track" }, bar),
      h("span", { class: "count" }, short(n)),
    );
  }

  /** @param {any} value */
  toggle(value) {
    const values = this.chosen.includes(value) ? this.chosen.filter((item) => item !== value) : [...this.chosen, value];
    setFilter(this.key, values.length ? [{ column: this.column, op: "in", value: values }] : []);
  }
}
