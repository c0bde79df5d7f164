/** What the page shows, kept in the address (#...) so that a reload or a colleague sees the same. */

/**
 * @typedef {object} Condition one condition of a Where: {column, op, value}, {search}, {inside}, {rows} or {labelled}
 * @typedef {{column: string, descending: boolean}} Sort
 * @typedef {object} State
 * @property {Record<string, Condition[]>} filters conditions by the filter that set them ("values:class", "lasso:hr"...)
 * @property {Sort[]} sort
 * @property {string[]|null} columns shown in the table; null: the usual ones
 * @property {string[]|null} ranges columns with a histogram in the filters; null: the usual ones
 * @property {string} diagram name of the one shown large, or "all"
 * @property {"catalog"|"live"} view
 * @property {number|null} open row number of the object on show
 */

/** @type {State} */
const initial = { filters: {}, sort: [], columns: null, ranges: null, diagram: "all", view: "catalog", open: null };

/** @type {State} */
export const state = { ...initial };

/** @type {Map<string, Set<() => void>>} */
const listeners = new Map();

/**
 * Call a function whenever one of these parts of the state has changed.
 *
 * @param {(keyof State)[]} parts
 * @param {() => void} run
 */
export function watch(parts, run) {
  for (const part of parts) listeners.set(part, (listeners.get(part) ?? new Set()).add(run));
}

/** @param {Partial<State>} change */
function apply(change) {
  const runs = new Set();
  for (const [part, value] of Object.entries(change)) {
    if (JSON.stringify(state[part]) === JSON.stringify(value)) continue;
    state[part] = value;
    for (const run of listeners.get(part) ?? []) runs.add(run);
  }
  for (const run of runs) run();
  return runs.size > 0;
}

/**
 * Change parts of the state, tell who watches them, and write the address.
 *
 * @param {Partial<State>} change
 */
export function set(change) {
  const opens = "open" in change && change.open !== state.open;
  apply(change);
  const address = `${location.pathname}${location.search}${writeHash()}`;
  history[opens ? "pushState" : "replaceState"](null, "", address);
}

/**
 * Set or (with no conditions) remove one filter.
 *
 * @param {string} key
 * @param {Condition[]} [conditions]
 */
export function setFilter(key, conditions = []) {
  const { [key]: _, ...filters } = state.filters;
  set({ filters: conditions.length ? { ...filters, [key]: conditions } : filters });
}

/**
 * @param {string} [without] a filter to leave out: its own counts are of what the others let through
 * @returns {{all: Condition[]}} the Where of all filters
 */
export function where(without) {
  const kept = Object.entries(state.filters).filter(([key]) => key !== without);
  return { all: kept.flatMap(([, conditions]) => conditions) };
}

/** @returns {string} the parts that differ from a fresh page's */
function writeHash() {
  const hash = new URLSearchParams();
  for (const part of Object.keys(initial)) {
    const text = JSON.stringify(state[part]);
    if (text !== JSON.stringify(initial[part])) hash.set(part, text);
  }
  return hash.size ? `#${hash}` : "";
}

const isList = (/** @type {any} */ value) => value === null || Array.isArray(value);

/** What each part may be: a link can be mistyped. @type {Record<keyof State, (value: any) => boolean>} */
const valid = {
  filters: (value) =>
    value?.constructor === Object &&
    Object.values(value).every((one) => Array.isArray(one) && one.length > 0 && one.every(Boolean)),
  sort: Array.isArray,
  columns: isList,
  ranges: isList,
  diagram: (value) => typeof value === "string",
  view: (value) => value === "catalog" || value === "live",
  open: (value) => value === null || Number.isSafeInteger(value),
};

/** Take the state from the address; parts that don't read are as on a fresh page. */
export function readHash() {
  const change = { ...initial };
  for (const [part, text] of new URLSearchParams(location.hash.slice(1))) {
    if (!(part in initial)) continue;
    try {
      const value = JSON.parse(text);
      if (valid[part](value)) change[part] = value;
    } catch {
      // a shortened link: this part stays as it is on a fresh page
    }
  }
  apply(change);
}

addEventListener("popstate", readHash);
