/** SAMP: the selection to TOPCAT, Aladin and others, and what they send. */

import { api } from "./api.js";
import { h } from "./dom.js";
import { objects } from "./format.js";
import { reportErrors, showError, showMessage } from "./messages.js";
import { set, setFilter, state, watch, where } from "./state.js";

const PAUSE = 1500; // [ms] between questions
let isOn = false;
let last = 0; // number of the last event
let opened = /** @type {number|null} */ (null); // the object that others have opened here

/** @param {boolean} on whether the server has joined a hub */
export function startSamp(on) {
  isOn = on;
  if (!on) return;
  watch(["open"], () => {
    if (state.open !== null && state.open !== opened) reportErrors(() => api.samp("highlight", { row: state.open }));
  });
  listen();
}

/** Ask again and again; a hidden page doesn't. */
async function listen() {
  if (!document.hidden) {
    try {
      for (const event of (await api.sampEvents(last)).events) {
        last = event.id;
        take(event);
      }
    } catch (error) {
      return showError(error);
    }
  }
  setTimeout(listen, PAUSE);
}

/** @param {any} event of the server */
function take(event) {
  if (event.kind === "rows") setFilter("samp", event.rows.length ? [{ rows: event.rows }] : []);
  else if (event.kind === "open") set({ open: (opened = event.row) });
  else if (event.kind === "error") showMessage(event.text, { kind: "error", stay: 12000 });
  else {
    showMessage(`Received by SAMP – ${event.name}: ${objects(event.count)}, saved as a subset`);
    setFilter(`subset:${event.name}`, [{ subset: event.name }]);
  }
}

/** @param {() => void} close the menu @returns {HTMLElement[]} its items, none without a hub */
export function sampItems(close) {
  const item = (/** @type {"table"|"rows"} */ what, /** @type {string} */ text) => {
    const run = () => {
      close();
      reportErrors(async () => {
        const { rows } = await api.samp(what, { where: where() });
        showMessage(`Sent by SAMP – ${objects(rows)}`);
      });
    };
    return h("button", { type: "button", onclick: run }, text);
  };
  return isOn ? [item("table", "Send as a table (SAMP)"), item("rows", "Select in the table sent (SAMP)")] : [];
}
