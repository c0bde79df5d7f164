/** Which columns the table shows, and the dialog to choose them. */

import { fill, h } from "./dom.js";
import { set, state } from "./state.js";

/** @typedef {{name: string, type: "text"|"number"|"boolean"|"list", hidden: boolean, about: string, unit: string}} Column */

// in this order
const DEFAULT_COLUMNS = [
  "object_id",
  "class",
  "class_probability",
  "period",
  "leaf",
  "p_max",
  "novelty",
  "prediction_set",
  "status",
  "n_obs",
  "f1",
  "A1",
  "ra",
  "dec",
];
const MAX_COLUMNS = 10;

/** @type {Column[]} */
let all = [];

export const NEW =
  "Less like the training set than 99 % of the objects that the model was checked with: perhaps of a class that it doesn't know";
let novel = Infinity;

/** @param {Column[]} columns of the catalog @param {number} threshold novelty above which an object is pointed out */
export function setColumns(columns, threshold) {
  all = columns.map((one) => ({ ...one, unit: one.unit.replace(/^(\w+)\*\*-1$/, "1/$1") }));
  novel = threshold;
}

/** @param {any} novelty @returns {boolean} whether an object is unlike the training set */
export const isNovel = (novelty) => typeof novelty === "number" && novelty > novel;

/** @param {string} name @returns {Column|undefined} */
export const column = (name) => all.find((item) => item.name === name);

/** @returns {Column[]} */
export const allColumns = () => all;

/** @returns {string[]} names of the columns to show, the label among them */
export function shownColumns() {
  if (state.columns) return state.columns.filter((name) => name === "label" || name === "comment" || column(name));
  const visible = all.filter(({ hidden }) => !hidden).map(({ name }) => name);
  const defaults = DEFAULT_COLUMNS.filter((name) => visible.includes(name));
  const others = visible.filter((name) => !DEFAULT_COLUMNS.includes(name) && !/^(p_|spread_|std_|node_)/.test(name));
  const names = [...defaults, ...others].slice(0, MAX_COLUMNS).filter((name) => name !== "label" && name !== "comment");
  return names.toSpliced(names.indexOf(names.includes("class") ? "class" : "object_id") + 1, 0, "label");
}

/** @param {HTMLDialogElement} dialog */
export function chooseColumns(dialog) {
  const shown = new Set(shownColumns());
  const extra = [
    { name: "label", about: "Your label" },
    { name: "comment", about: "Your comment" },
  ].filter(({ name }) => !column(name));
  const choose = (/** @type {string} */ name, /** @type {boolean} */ on) => {
    const names = shownColumns();
    set({ columns: on ? [...names, name] : names.filter((item) => item !== name) });
  };
  const lines = [...extra, ...all].map(({ name, about }) =>
    h(
      "label",
      { class: "choice", "data-name": name.toLowerCase() },
      h("input", {
        type: "checkbox",
        checked: shown.has(name),
        onchange: (event) => choose(name, event.target.checked),
      }),
      h("span", {}, name),
      h("small", {}, about),
    ),
  );
  const filterChoices = (/** @type {string} */ text) => {
    for (const item of lines) item.hidden = !item.textContent?.toLowerCase().includes(text.toLowerCase());
  };
  fill(
    dialog,
    h(
      "form",
      { method: "dialog" },
      h("h2", {}, "Columns"),
      h("button", { class: "quiet", "aria-label": "Close" }, "×"),
    ),
    h("input", {
      type: "search",
      placeholder: "Find a column",
      autofocus: true,
      "aria-label": "Find a column",
      oninput: (event) => filterChoices(event.target.value),
    }),
    h("div", { class: "choices" }, lines),
    h("button", { type: "button", onclick: () => (set({ columns: null }), dialog.close()) }, "Default columns"),
  );
  dialog.showModal();
}
