/** The filters at the left, and the active ones as chips that remove them. */

import { allColumns, column } from "./columns.js";
import { byId, fill, h } from "./dom.js";
import { Facet } from "./facet.js";
import { cell, number } from "./format.js";
import { RangeFilter, shownRanges } from "./histogram.js";
import { diagramName } from "./plots.js";
import { set, setFilter, state, watch } from "./state.js";

const OPERATORS = {
  number: ["=", "!=", "<", "<=", ">", ">=", "is null", "not null"],
  text: ["contains", "=", "!=", "is null", "not null"],
  boolean: ["=", "is null"],
  list: ["contains"],
};

/** @param {HTMLElement} host */
export function buildFilters(host) {
  const facets = [new Facet("class", "Class")];
  if (column("status")) facets.push(new Facet("status", "Status"));
  /** @type {Map<string, RangeFilter>} */
  const ranges = new Map();
  const rangeHost = h("div", {});
  const drawRanges = () => {
    for (const name of shownRanges())
      if (!ranges.has(name)) ranges.set(name, new RangeFilter(/** @type {any} */ (column(name))));
    for (const name of ranges.keys()) if (!shownRanges().includes(name)) ranges.delete(name);
    fill(
      rangeHost,
      [...ranges.values()].map(({ element }) => element),
    );
  };
  fill(
    host,
    facets[0].element,
    labelFilter(),
    rangeHost,
    addRange(),
    facets.slice(1).map(({ element }) => element),
    addCondition(),
  );
  drawRanges();
  watch(["ranges"], drawRanges);
  watch(["filters"], () => [...facets, ...ranges.values()].forEach((item) => item.refresh()));
  watch(["filters"], drawChips);
  drawChips();
}

/** All, labelled, unlabelled. */
function labelFilter() {
  const group = h("div", { class: "segments", role: "radiogroup", "aria-label": "Labels" });
  const choices = /** @type {[string, boolean|null][]} */ ([
    ["All", null],
    ["Labelled", true],
    ["Unlabelled", false],
  ]);
  const draw = () => {
    const now = /** @type {any} */ (state.filters.labelled?.[0])?.labelled ?? null;
    const choose = (/** @type {boolean|null} */ value) =>
      setFilter("labelled", value === null ? [] : [{ labelled: value }]);
    fill(
      group,
      choices.map(([name, value]) =>
        h(
          "button",
          { type: "button", role: "radio", "aria-checked": String(now === value), onclick: () => choose(value) },
          name,
        ),
      ),
    );
  };
  draw();
  watch(["filters"], draw);
  return h("section", {}, h("h3", {}, "Your labels"), group);
}

/** @param {string} name @param {string[]} names @param {string} first @param {(value: string) => void} onchoice */
function chooser(name, names, first, onchoice) {
  const options = [h("option", { value: "" }, first), ...names.map((item) => h("option", { value: item }, item))];
  return /** @type {HTMLSelectElement} */ (
    h("select", { "aria-label": name, onchange: (event) => onchoice(event.target.value) }, options)
  );
}

/** A further histogram. */
function addRange() {
  const numeric = allColumns()
    .filter(({ type }) => type === "number")
    .map(({ name }) => name);
  const select = chooser("Add a histogram", numeric, "+ histogram of…", (name) => {
    if (name && !shownRanges().includes(name)) set({ ranges: [...shownRanges(), name] });
    select.value = "";
  });
  return h("div", { class: "add" }, select);
}

/** Any condition on any column. */
function addCondition() {
  let chosen = /** @type {import("./columns.js").Column|undefined} */ (undefined);
  const operator = /** @type {HTMLSelectElement} */ (
    h("select", {
      "aria-label": "Comparison",
      hidden: true,
      onchange: () => (value.hidden = /null/.test(operator.value)),
    })
  );
  const value = /** @type {HTMLInputElement} */ (
    h("input", { type: "text", "aria-label": "Value", placeholder: "value", hidden: true, autocomplete: "off" })
  );
  const button = h("button", { type: "submit", hidden: true }, "Add");
  const name = chooser(
    "Column of a condition",
    allColumns().map((item) => item.name),
    "+ condition on…",
    (picked) => {
      chosen = column(picked);
      for (const part of [operator, value, button]) part.hidden = !chosen;
      fill(
        operator,
        (OPERATORS[chosen?.type ?? "text"] ?? []).map((item) => h("option", { value: item }, item)),
      );
      if (chosen) value.focus();
    },
  );
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!chosen) return;
    const op = operator.value;
    const typed =
      chosen.type === "number"
        ? Number(value.value)
        : chosen.type === "boolean"
          ? /^(yes|true|1)$/i.test(value.value)
          : value.value;
    if (!/null/.test(op) && (value.value.trim() === "" || Number.isNaN(typed))) return value.focus();
    setFilter(`if:${chosen.name} ${op}`, [
      /null/.test(op) ? { column: chosen.name, op } : { column: chosen.name, op, value: typed },
    ]);
    value.value = "";
  };
  return h("form", { class: "add condition", onsubmit: add }, name, operator, value, button);
}

/** @param {string} key @param {any[]} conditions @returns {string} a filter in words */
function describeFilter(key, conditions) {
  const [first] = conditions;
  if (first.search !== undefined) return `“${first.search}”`;
  if (first.inside) return `lasso in ${diagramName(first.inside.diagram)}`;
  if (first.labelled !== undefined) return first.labelled ? "labelled" : "unlabelled";
  if (first.rows) return `${first.rows.length} rows`;
  if (first.op === "in")
    return first.value.length > 3
      ? `${first.column}: ${first.value.length} values`
      : `${first.column}: ${first.value.join(", ")}`;
  const [low, high] = [conditions.find(({ op }) => op === ">="), conditions.find(({ op }) => op === "<=")];
  if (key.startsWith("range:") && low && high)
    return `${number(low.value, 4)} ≤ ${first.column} ≤ ${number(high.value, 4)}`;
  return `${first.column} ${first.op.replace("<=", "≤").replace(">=", "≥").replace("!=", "≠")} ${cell(first.value ?? "")}`;
}

function drawChips() {
  const entries = Object.entries(state.filters);
  const chip = ([key, conditions]) => {
    const text = describeFilter(key, conditions);
    return h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-label": `Remove the filter ${text}`,
        title: "Remove",
        onclick: () => setFilter(key),
      },
      text,
      h("span", { "aria-hidden": "true" }, "×"),
    );
  };
  fill(
    byId("chips"),
    entries.map(chip),
    entries.length > 1 &&
      h("button", { type: "button", class: "quiet small", onclick: () => set({ filters: {} }) }, "Clear all"),
  );
}
