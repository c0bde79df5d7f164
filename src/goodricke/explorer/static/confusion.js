/** How often each known label has each class: a matrix whose cells filter. */

import { api, latestOnly } from "./api.js";
import { allColumns } from "./columns.js";
import { emptyState, fill, h, pending } from "./dom.js";
import { figureMenu } from "./exporting.js";
import { count } from "./format.js";
import { set, setFilter, state, where } from "./state.js";

const KEY = "confusion";
const OWN = { name: "label", about: "Your label" };
const LIKELY = /label|literature|known|true|type|class/i; // names of columns with a known class

export class Confusion {
  constructor() {
    this.about = { name: "confusion", title: "Confusion" };
    this.request = latestOnly((signal) => api.crosstab(where(KEY), "class", this.known, signal));
    const columns = allColumns().filter(({ name, type }) => type === "text" && !["object_id", "class", "leaf"].includes(name));
    const choices = [OWN, ...columns];
    this.known = (columns.find(({ name }) => LIKELY.test(name)) ?? OWN).name;
    this.note = h("span", { class: "note" });
    this.select = /** @type {HTMLSelectElement} */ (
      h(
        "select",
        { "aria-label": "Column with the known class", onchange: () => ((this.known = this.select.value), this.load()) },
        choices.map(({ name }) => h("option", { value: name, selected: name === this.known }, name)),
      )
    );
    const enlarge = h(
      "button",
      {
        type: "button",
        class: "quiet small",
        title: "Large, or all together",
        "aria-label": "Confusion: large or small",
        onclick: () => set({ diagram: state.diagram === KEY ? "all" : KEY }),
      },
      "⤢",
    );
    const save = figureMenu((format) => ["figures/crosstab", { where: where(KEY), x: "class", y: this.known, format }]);
    this.host = h("div", { class: "plot matrix" });
    this.element = h(
      "figure",
      { class: "diagram", "data-diagram": KEY },
      h("figcaption", {}, h("strong", {}, "Class against"), this.select, this.note, save, enlarge),
      this.host,
    );
    this.load();
  }

  async load() {
    this.element.setAttribute("aria-busy", "true");
    if (!this.host.children.length) fill(this.host, pending("Loading…"));
    try {
      const answer = await this.request();
      if (answer) this.draw(answer);
    } catch (error) {
      fill(this.host, emptyState("No confusion matrix", /** @type {Error} */ (error).message));
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  /** @param {{x: string[], y: string[], counts: number[][], other: number}} answer */
  draw({ x, y, counts, other }) {
    if (!y.length) {
      const text = `No object that matches has a class and a value of ${this.known}. Label some, or choose another column.`;
      return fill(this.host, emptyState("Nothing to compare", text));
    }
    const same = (/** @type {any} */ a, /** @type {any} */ b) => String(a).toLowerCase() === String(b).toLowerCase();
    const sums = counts.map((row) => row.reduce((a, b) => a + b, 0));
    const total = sums.reduce((a, b) => a + b, 0);
    const agree = counts.reduce((sum, row, j) => sum + row.reduce((s, n, i) => s + (same(x[i], y[j]) ? n : 0), 0), 0);
    this.note.textContent = agree ? `${count(agree)} of ${count(total)} the same` : count(total);
    this.note.title = other ? `${count(other)} objects of rarer values are left out` : "";
    const cell = (/** @type {number} */ n, /** @type {number} */ j, /** @type {number} */ i) => {
      const share = n / (sums[j] || 1);
      const text = `${this.known} ${y[j]}, class ${x[i]}: ${count(n)}, ${Math.round(share * 100)} % of its row`;
      return h(
        "td",
        { class: same(x[i], y[j]) ? "same" : "", style: { "--share": String(share) } },
        n > 0 && h("button", { type: "button", title: text, "aria-label": text, onclick: () => this.choose(x[i], y[j]) }, count(n)),
      );
    };
    const head = h("tr", {}, h("th", {}, `${this.known} ↓  class →`), x.map((name) => h("th", { scope: "col" }, h("span", {}, String(name)))));
    const body = y.map((name, j) =>
      h("tr", {}, h("th", { scope: "row", title: `${name}: ${count(sums[j])}` }, String(name)), counts[j].map((n, i) => cell(n, j, i))),
    );
    fill(this.host, h("table", {}, h("thead", {}, head), h("tbody", {}, body)));
  }

  /** @param {any} x @param {any} y */
  choose(x, y) {
    const conditions = [
      { column: "class", op: "=", value: x },
      { column: this.known, op: "=", value: y },
    ];
    const same = JSON.stringify(state.filters[KEY]) === JSON.stringify(conditions);
    setFilter(KEY, same ? [] : conditions);
  }

  ring() {} // no points

  showView() {} // no axes
}
