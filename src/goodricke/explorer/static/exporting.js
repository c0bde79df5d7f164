/** Selections and figures as files. */

import { api } from "./api.js";
import { h, menu } from "./dom.js";
import { reportErrors, showMessage } from "./messages.js";
import { sampItems } from "./samp.js";
import { where } from "./state.js";

const FORMATS = {
  csv: "CSV",
  parquet: "Parquet",
  vot: "VOTable",
  ecsv: "ECSV",
  fits: "FITS table",
  ids: "Object ids only",
};
const FIGURES = ["png", "svg", "pdf"];

/** @param {Promise<{name: string, blob: Blob}>} file put it where the browser saves files */
async function save(file) {
  const { name, blob } = await file;
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  showMessage(`Saved – ${name}, ${(blob.size / 1e6).toPrecision(2)} MB`);
}

/** @returns {HTMLElement} a menu that saves what matches the filters */
export function exportMenu() {
  return menu("Export", "Save the selection as a file", (close) => [
    ...Object.entries(FORMATS).map(([format, name]) => {
      const run = () => {
        close();
        showMessage("Writing the selection…");
        reportErrors(() => save(api.export(where(), format)));
      };
      return h("button", { type: "button", onclick: run }, name);
    }),
    ...sampItems(close),
  ]);
}

/**
 * A menu that saves a figure, drawn by the server.
 *
 * @param {(format: string) => [path: string, body?: object]} request
 * @returns {HTMLElement}
 */
export function figureMenu(request) {
  return menu("⤓", "Save the figure", (close) =>
    FIGURES.map((format) => {
      const run = () => {
        close();
        reportErrors(() => save(api.figure(...request(format))));
      };
      return h("button", { type: "button", onclick: run }, format.toUpperCase());
    }),
  );
}
