/** What is done with all objects that match the filters: label them, save them under a name. */

import { api } from "./api.js";
import { h, menu } from "./dom.js";
import { objects } from "./format.js";
import { classes } from "./glyph.js";
import { labels } from "./labels.js";
import { reportErrors, showMessage } from "./messages.js";
import { setFilter, state, where } from "./state.js";

const MOST_NAMES = 300;

/** @param {() => number} total number of rows that match @returns {HTMLElement} a menu */
export function selectionMenu(total) {
  return menu("Selection", "Label the whole selection, or save it as a subset", (close) => [
    labelForm(total(), close),
    subsetForm(total(), close),
    subsetList(close),
  ]);
}

/** @param {number} rows @param {() => void} close */
function labelForm(rows, close) {
  const field = /** @type {HTMLInputElement} */ (
    h("input", { list: "label-names", placeholder: "label", "aria-label": "Label for the whole selection", maxlength: 100 })
  );
  const names = [...new Set([...labels.about.names, ...classes()])].slice(0, MOST_NAMES);
  const give = (/** @type {string|null} */ label) => {
    close();
    reportErrors(() => labels.changeAll(where(), label));
  };
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (field.value.trim()) give(field.value.trim());
    else field.focus();
  };
  return h(
    "form",
    { onsubmit: submit },
    h("strong", {}, `Label all ${rows === 1 ? "1 row" : objects(rows).replace("objects", "rows")}`),
    field,
    h("button", { type: "submit" }, "Label"),
    h("button", { type: "button", class: "quiet", onclick: () => give(null) }, "Remove labels"),
    h("datalist", { id: "label-names" }, names.map((name) => h("option", { value: name }))),
  );
}

/** @param {number} rows @param {() => void} close */
function subsetForm(rows, close) {
  const field = /** @type {HTMLInputElement} */ (
    h("input", { placeholder: "name", "aria-label": "Name of the subset", maxlength: 100 })
  );
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const name = field.value.trim();
    if (!name) return field.focus();
    close();
    reportErrors(async () => {
      await api.saveSubset(name, where());
      showMessage(`Saved – subset ${name}, ${objects(rows)}`);
    });
  };
  return h(
    "form",
    { onsubmit: submit },
    h("strong", {}, "Save as a subset"),
    field,
    h("button", { type: "submit" }, "Save"),
  );
}

/** @param {() => void} close @returns {HTMLElement} the subsets, which a click makes filters */
function subsetList(close) {
  const list = h("div", { class: "subsets" });
  const choose = (/** @type {string} */ name) => {
    close();
    const key = `subset:${name}`;
    setFilter(key, state.filters[key] ? [] : [{ subset: name }]);
  };
  const remove = (/** @type {string} */ name) =>
    reportErrors(async () => {
      await api.removeSubset(name);
      await draw();
    });
  const item = (/** @type {any} */ { name, count }) =>
    h(
      "div",
      {},
      h("button", { type: "button", title: "Filter by it", onclick: () => choose(name) }, name),
      h("span", { class: "dim" }, count === null ? "of another catalog" : objects(count)),
      h("button", { type: "button", class: "quiet", "aria-label": `Remove the subset ${name}`, onclick: () => remove(name) }, "×"),
    );
  const draw = async () => {
    const { subsets } = await api.subsets();
    list.replaceChildren(...subsets.map(item));
  };
  reportErrors(draw);
  return list;
}
