/** What the page shows, kept in the address (#...) so that a reload or a colleague sees the same. */

/**
 * @typedef {object} Condition one condition of a Where: {column, op, value}, {search}, {inside}, {rows} or {labelled}
 * @typedef {{column: string, descending: boolean}} Sort
 * @typedef {object} State
 * @property {Record<string, Condition[]>} filters conditions by the filter that set them ("values:class", "lasso:hr"...)
 * @property {Sort[]} sort
 * @property {string[]|null} columns shown in the table; null: the defaults
 * @property {string[]|null} ranges columns with a histogram in the filters; null: the defaults
 * @property {string[]} plots names of the user's own diagrams
 * @property {string[]|null} shown names of the other diagrams on show; null: the defaults
 * @property {Record<string, number[]>} views the part of a diagram that is shown: x from, to, y from, to
 * @property {"all"|"any"} match whether all filters must hold, or one
 * @property {string} diagram name of the one shown large, or "all"
 * @property {"catalog"|"live"} view
 * @property {number|null} open row number of the object on show
 * @property {number|null} compare row number of an object whose light curve is drawn over that of the one on show
 */

/** @type {State} */
const defaults = {
  filters: {},
  match: "all",
  sort: [],
  columns: null,
  ranges: null,
  plots: [],
  shown: null,
  views: {},
  diagram: "all",
  view: "catalog",
  open: null,
  compare: null,
};

/** @type {State} */
export const state = { ...defaults };

/** Parts that change what matches. */
export const FILTERS = /** @type {(keyof State)[]} */ (["filters", "match"]);

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
 * Change parts of the state, call the watchers, and write the address.
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
 * @param {string} [without] a filter to leave out: its own counts are of objects that match the others
 * @returns {{all: Condition[]}} the Where of all filters
 */
export function where(without) {
  const filters = Object.entries(state.filters).filter(([key]) => key !== without);
  if (state.match === "any" && filters.length > 1) return { all: [{ any: filters.map(([, all]) => ({ all })) }] };
  return { all: filters.flatMap(([, conditions]) => conditions) };
}

/** @returns {string} the parts that differ from the defaults */
function writeHash() {
  const hash = new URLSearchParams();
  for (const part of Object.keys(defaults)) {
    const text = JSON.stringify(state[part]);
    if (text !== JSON.stringify(defaults[part])) hash.set(part, text);
  }
  return hash.size ? `#${hash}` : "";
}

const isNames = (/** @type {any} */ value) => Array.isArray(value) && value.every((name) => typeof name === "string");
const isRow = (/** @type {any} */ value) => value === null || Number.isSafeInteger(value);
const isList = (/** @type {any} */ value) => value === null || Array.isArray(value);

/** Checks of each part: a link can be mistyped. @type {Record<keyof State, (value: any) => boolean>} */
const validators = {
  filters: (value) =>
    value?.constructor === Object &&
    Object.values(value).every((item) => Array.isArray(item) && item.length > 0 && item.every(Boolean)),
  sort: Array.isArray,
  columns: isList,
  ranges: isList,
  plots: isNames,
  match: (value) => value === "all" || value === "any",
  shown: (value) => value === null || isNames(value),
  views: (value) =>
    value?.constructor === Object &&
    Object.values(value).every((ends) => Array.isArray(ends) && ends.length === 4 && ends.every((end) => end === null || Number.isFinite(end))),
  diagram: (value) => typeof value === "string",
  view: (value) => value === "catalog" || value === "live",
  open: isRow,
  compare: isRow,
};

/** Take the state from the address; unreadable parts keep their defaults. */
export function readHash() {
  if (location.hash && !location.hash.includes("=")) return; // an anchor of the page, no state
  const change = { ...defaults };
  for (const [part, text] of new URLSearchParams(location.hash.slice(1))) {
    if (!(part in defaults)) continue;
    try {
      const value = JSON.parse(text);
      if (validators[part](value)) change[part] = value;
    } catch {
      // a shortened link: this part keeps its default
    }
  }
  apply(change);
}

addEventListener("popstate", readHash);
