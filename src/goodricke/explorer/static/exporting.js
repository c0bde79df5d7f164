/** The selection as a file. */

import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { reportErrors, showMessage } from "./messages.js";
import { where } from "./state.js";

const FORMATS = {
  csv: "CSV",
  parquet: "Parquet",
  vot: "VOTable",
  ecsv: "ECSV",
  fits: "FITS table",
  ids: "Object ids only",
};

/** @returns {HTMLElement} a menu that saves what matches the filters */
export function exportMenu() {
  const menu = /** @type {HTMLDetailsElement} */ (h("details", { class: "menu" }));
  const save = (/** @type {string} */ format) =>
    reportErrors(async () => {
      menu.open = false;
      showMessage("Writing the selection…");
      const { name, blob } = await api.export(where(), format);
      const url = URL.createObjectURL(blob);
      h("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      showMessage(`Saved – ${name}, ${(blob.size / 1e6).toPrecision(2)} MB`);
    });
  const item = ([format, name]) => h("button", { type: "button", onclick: () => save(format) }, name);
  fill(
    menu,
    h("summary", { title: "Save the selection" }, "Export"),
    h("div", { class: "items" }, Object.entries(FORMATS).map(item)),
  );
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    menu.open = false;
  });
  addEventListener("pointerdown", (event) => {
    if (!menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
  });
  return menu;
}
