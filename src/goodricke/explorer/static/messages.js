/** Short words at the foot of the page, read out by screen readers: saved, failed and why. */

import { byId, h } from "./dom.js";

/**
 * @param {string} text
 * @param {{kind?: "plain"|"error", stay?: number}} [options] stay [ms]
 */
export function say(text, { kind = "plain", stay = 3000 } = {}) {
  const close = () => message.remove();
  const button = h("button", { class: "quiet", type: "button", "aria-label": "Dismiss", onclick: close }, "×");
  const message = h("div", { class: `message ${kind}` }, h("span", {}, text), button);
  if (kind === "error") message.setAttribute("role", "alert");
  const shown = byId("messages").children;
  for (const old of [...shown].filter((one) => one.firstChild?.textContent === text)) old.remove();
  byId("messages").append(message);
  if (shown.length > 4) shown[0].remove();
  setTimeout(close, stay);
}

/** @param {any} error */
export function fail(error) {
  if (!("status" in error)) console.error(error); // a fault of the page, not a refusal of the server
  say(error.message, { kind: "error", stay: 12000 });
}

/**
 * Run a task whose failure is told at the foot of the page.
 *
 * @param {() => Promise<any>} task
 */
export const telling = (task) => task().catch(fail);
