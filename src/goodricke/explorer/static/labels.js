/** The user's labels and comments: each change is saved at once, and can be undone. */

import { api } from "./api.js";
import { say } from "./messages.js";

/** @typedef {{label: string|null, comment: string|null}} Entry */

/** @type {Set<(row: number, entry: Entry, name: string) => void>} */
const listeners = new Set();
/** @type {Map<number, Entry>} what was saved since the page was loaded, newer than what a caller may hold */
const saved = new Map();
/** @type {{row: number, before: Partial<Entry>, name: string}[]} */
const history = [];

/**
 * What isn't changed is left as the file has it: another window may have written it.
 *
 * @param {number} row
 * @param {Partial<Entry>} change
 * @param {string} name of the object: all its light curves have one label
 */
async function save(row, change, name) {
  const { label, comment } = await api.putLabel(row, change);
  saved.set(row, { label, comment });
  for (const run of listeners) run(row, { label, comment }, name);
}

let latest = /** @type {Promise<any>} */ (Promise.resolve());

/**
 * One change after the other, however fast the keys: an undo waits for what it takes back.
 *
 * @template T
 * @param {() => Promise<T>} task
 * @returns {Promise<T>}
 */
function inTurn(task) {
  const mine = latest.then(task);
  latest = mine.catch(() => {}); // told to who asked for it
  return mine;
}

export const labels = {
  /** @type {{file: string, count: number, known: string[]}} */
  about: { file: "", count: 0, known: [] },

  /** @param {(row: number, entry: Entry, name: string) => void} run at each change */
  watch: (run) => listeners.add(run),

  /**
   * Change what is said of an object.
   *
   * @param {{row: number, name: string, label: string|null, comment: string|null}} object as it is now
   * @param {Partial<Entry>} change
   */
  change: ({ row, name, label, comment }, change) =>
    inTurn(async () => {
      const now = saved.get(row) ?? { label, comment };
      const before = Object.fromEntries(Object.keys(change).map((part) => [part, now[part]]));
      if (Object.entries(change).every(([part, value]) => before[part] === value)) return;
      await save(row, change, name);
      history.push({ row, before, name });
      const what =
        "label" in change ? (change.label ? `${name}: ${change.label}` : `${name}: label removed`) : `${name}: comment`;
      say(`Saved – ${what}`);
    }),

  /** Tell what the file says of an object now: others may write it too. @param {number} row @param {string} name */
  refresh: (row, name) =>
    inTurn(async () => {
      const { label, comment } = await api.object(row);
      saved.set(row, { label, comment });
      for (const run of listeners) run(row, { label, comment }, name);
    }),

  /** Take back the latest change; again, the one before. @returns {Promise<number|null>} the row it was about */
  undo: () =>
    inTurn(async () => {
      const last = history.pop();
      if (!last) {
        say("Nothing to undo.");
        return null;
      }
      await save(last.row, last.before, last.name);
      const now = saved.get(last.row);
      say(`Undone – ${last.name}: ${"label" in last.before ? (now?.label ?? "no label") : (now?.comment ?? "no comment")}`);
      return last.row;
    }),
};
