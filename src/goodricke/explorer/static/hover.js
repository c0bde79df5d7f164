/** The object under the pointer, shared by the table and all diagrams: each marks it. */

/** @type {Set<(row: number|null) => void>} */
const listeners = new Set();
let current = /** @type {number|null} */ (null);

/** @param {(row: number|null) => void} run */
export const onHover = (run) => listeners.add(run);

/** @param {number|null} row */
export function setHover(row) {
  if (row === current) return;
  current = row;
  for (const run of listeners) run(row);
}
