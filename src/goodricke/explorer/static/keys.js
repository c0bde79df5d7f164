/** The keyboard: one list for the actions and for the help. */

import { byId, fill, h } from "./dom.js";

/**
 * @typedef {{keys: string[], about: string, run: (event: KeyboardEvent) => void, shown?: string}} Key
 */

/** @type {Key[]} */
const bindings = [];

/** @param {Key[]} keys */
export function addKeys(keys) {
  bindings.push(...keys);
}

/** @param {EventTarget|null} target @returns {boolean} whether the element takes typed text */
function isTyping(target) {
  const element = /** @type {HTMLInputElement} */ (target);
  if (/^(TEXTAREA|SELECT)$/.test(element.tagName)) return true;
  return element.tagName === "INPUT" && !["checkbox", "range", "button"].includes(element.type);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]")) return;
  if (isTyping(event.target) && event.key !== "Escape") return;
  const key = bindings.find(({ keys }) => keys.includes(event.key));
  if (!key) return;
  // a focused button answers Enter itself
  if (event.key === "Enter" && /^(BUTTON|A|SUMMARY)$/.test(/** @type {Element} */ (event.target).tagName)) return;
  event.preventDefault();
  key.run(event);
});

const MOUSE = [
  ["Drag in a diagram", "lasso or box: the table and the other diagrams show only what is inside; or zoom"],
  ["Drag in a light curve", "zoom; double-click shows all again"],
  ["Shift + drag", "pan"],
  ["Ctrl + wheel, + − 0", "zoom a chart about the pointer; arrows pan, 0 shows all"],
  ["Shift + click on a column head", "sort by a further column"],
];

/** Show the keys and what they do. */
export function openHelp() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("help"));
  const line = ([keys, about]) =>
    h(
      "div",
      {},
      h(
        "dt",
        {},
        keys.split(" ").map((key) => h("kbd", {}, key)),
      ),
      h("dd", {}, about),
    );
  fill(
    dialog,
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "help-title" }, "Keyboard"),
      h("button", { class: "quiet", "aria-label": "Close" }, "×"),
    ),
    h(
      "dl",
      { class: "keys" },
      bindings.map(({ shown, keys, about }) => line([shown ?? keys[0], about])),
    ),
    h("h2", {}, "Pointer"),
    h(
      "dl",
      { class: "pointer" },
      MOUSE.map(([what, about]) => h("div", {}, h("dt", {}, what), h("dd", {}, about))),
    ),
    h(
      "p",
      { class: "dim" },
      "Filters, columns and the object on show are part of the address: copy it to share this view.",
    ),
  );
  dialog.showModal();
}
