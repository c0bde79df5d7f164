/** The user's labels and comments: each change is saved at once, and can be undone. */

import { api } from "./api.js";
import { say } from "./messages.js";

/** @typedef {{label: string|null, comment: string|null}} Entry */

/** @type {Set<(row: number, entry: Entry, name: string) => void>} */
const listeners = new Set();
/** @type {Map<number, Entry>} what was saved since the page was loaded, newer than what a caller may hold */
const saved = new Map();
/** @type {{row: number, before: Entry, name: string}[]} */
const history = [];

/** @param {number} row @param {Entry} entry @param {string} name of the object: all its light curves have one label */
async function save(row, entry, name) {
  if (entry.label === null && !entry.comment) await api.removeLabel(row);
  else await api.putLabel(row, entry);
  saved.set(row, entry);
  for (const run of listeners) run(row, entry, name);
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
      const before = saved.get(row) ?? { label, comment };
      const entry = { ...before, ...change };
      if (entry.label === before.label && entry.comment === before.comment) return;
      await save(row, entry, name);
      history.push({ row, before, name });
      const what =
        "label" in change ? (entry.label ? `${name}: ${entry.label}` : `${name}: label removed`) : `${name}: comment`;
      say(`Saved – ${what}`);
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
      say(`Undone – ${last.name}: ${last.before.label ?? "no label"}`);
      return last.row;
    }),
};
