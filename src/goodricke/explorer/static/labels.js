/** The user's labels and comments: each change is saved at once and can be undone. */

import { api } from "./api.js";
import { objects } from "./format.js";
import { showMessage } from "./messages.js";

/** @typedef {{label: string|null, comment: string|null}} Entry */

/** @type {Set<(row: number, entry: Entry, name: string) => void>} */
const listeners = new Set();
/** @type {Map<number, Entry>} saved since the page was loaded; newer than a caller's copy */
const saved = new Map();
/** @type {({row: number, before: Partial<Entry>, name: string}|{entries: object[], name: string})[]} */
const history = [];
/** @type {Set<() => void>} run when many labels have changed */
const manyListeners = new Set();

/** Many labels have changed: what was saved here before may be older. */
function changedMany() {
  saved.clear();
  for (const run of manyListeners) run();
}

/**
 * Parts that aren't changed stay as the file has them: another window may have written them.
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
 * Run one change after the other, however fast the keys: an undo waits for the change that it reverts.
 *
 * @template T
 * @param {() => Promise<T>} task
 * @returns {Promise<T>}
 */
function enqueue(task) {
  const result = latest.then(task);
  latest = result.catch(() => {}); // its caller handles the error
  return result;
}

export const labels = {
  /** @type {{file: string, count: number, names: string[]}} */
  about: { file: "", count: 0, names: [] },

  /** @param {(row: number, entry: Entry, name: string) => void} run at each change */
  watch: (run) => listeners.add(run),

  /**
   * Change label or comment of an object.
   *
   * @param {{row: number, name: string, label: string|null, comment: string|null}} object as it is now
   * @param {Partial<Entry>} change
   */
  change: ({ row, name, label, comment }, change) =>
    enqueue(async () => {
      const current = saved.get(row) ?? { label, comment };
      const before = Object.fromEntries(Object.keys(change).map((part) => [part, current[part]]));
      if (Object.entries(change).every(([part, value]) => before[part] === value)) return;
      await save(row, change, name);
      history.push({ row, before, name });
      const what =
        "label" in change ? (change.label ? `${name}: ${change.label}` : `${name}: label removed`) : `${name}: comment`;
      showMessage(`Saved – ${what}`);
    }),

  /** @param {() => void} run when the labels of many objects have changed */
  watchMany: (run) => manyListeners.add(run),

  /**
   * Give all objects that match one label.
   *
   * @param {object} where
   * @param {string|null} label null: none
   */
  changeAll: (where, label) =>
    enqueue(async () => {
      showMessage("Saving…");
      const { changed, before } = await api.labelSelection(where, label);
      const name = objects(changed);
      history.push({ entries: before, name });
      changedMany();
      showMessage(`Saved – ${name}: ${label ?? "label removed"}. Undo: u`);
    }),

  /** Load label and comment of an object again: others may have changed the file. @param {number} row @param {string} name */
  refresh: (row, name) =>
    enqueue(async () => {
      const { label, comment } = await api.object(row);
      saved.set(row, { label, comment });
      for (const run of listeners) run(row, { label, comment }, name);
    }),

  /** Undo the latest change. @returns {Promise<number|null>} the row that it changed */
  undo: () =>
    enqueue(async () => {
      const last = history.pop();
      if (!last) {
        showMessage("Nothing to undo.");
        return null;
      }
      if ("entries" in last) {
        await api.putLabels(last.entries);
        changedMany();
        showMessage(`Undone – ${last.name}`);
        return null;
      }
      await save(last.row, last.before, last.name);
      const current = saved.get(last.row);
      showMessage(
        `Undone – ${last.name}: ${"label" in last.before ? (current?.label ?? "no label") : (current?.comment ?? "no comment")}`,
      );
      return last.row;
    }),
};
