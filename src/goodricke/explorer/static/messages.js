/** Short messages at the foot of the page, which screen readers read out. */

import { byId, h } from "./dom.js";

/**
 * @param {string} text
 * @param {{kind?: "plain"|"error", stay?: number}} [options] stay [ms]
 */
export function showMessage(text, { kind = "plain", stay = 3000 } = {}) {
  const close = () => message.remove();
  const button = h("button", { class: "quiet", type: "button", "aria-label": "Dismiss", onclick: close }, "×");
  const message = h("div", { class: `message ${kind}` }, h("span", {}, text), button);
  if (kind === "error") message.setAttribute("role", "alert");
  const shown = byId("messages").children;
  for (const old of [...shown].filter((item) => item.firstChild?.textContent === text)) old.remove();
  byId("messages").append(message);
  if (shown.length > 4) shown[0].remove();
  setTimeout(close, stay);
}

/** @param {any} error */
export function showError(error) {
  if (!("status" in error)) console.error(error); // a fault of the page, not an answer of the server
  showMessage(error.message, { kind: "error", stay: 12000 });
}

/**
 * Run a task; a failure is shown at the foot of the page.
 *
 * @param {() => Promise<any>} task
 */
export const reportErrors = (task) => task().catch(showError);
