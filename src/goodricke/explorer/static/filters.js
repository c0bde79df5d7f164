/** The filters at the left, and the active ones as chips that remove them. */

import { allColumns, column } from "./columns.js";
import { byId, fill, h } from "./dom.js";
import { Facet } from "./facet.js";
import { cell, number } from "./format.js";
import { RangeFilter, shownRanges } from "./histogram.js";
import { diagramName } from "./plots.js";
import { FILTERS, set, setFilter, state, watch } from "./state.js";

const OPERATORS = {
  number: ["=", "!=", "<", "<=", ">", ">=", "is null", "not null"],
  text: ["contains", "matches", "=", "!=", "is null", "not null"],
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
    h("h2", { class: "hidden" }, "Filters"),
    facets[0].element,
    labelFilter(),
    rangeHost,
    addRange(),
    facets.slice(1).map(({ element }) => element),
    addCondition(),
    column("ra") && column("dec") && addCone(),
    addText(),
  );
  drawRanges();
  watch(["ranges"], drawRanges);
  watch(FILTERS, () => [...facets, ...ranges.values()].forEach((item) => item.refresh()));
  watch(FILTERS, drawChips);
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

/** Objects near a position, or near another object. */
function addCone() {
  const field = (/** @type {string} */ name, /** @type {string} */ hint) =>
    /** @type {HTMLInputElement} */ (
      h("input", { type: "text", "aria-label": name, placeholder: hint, autocomplete: "off", spellcheck: "false" })
    );
  const place = field("Position or object", "05 35 17 −05 23 28, or an id");
  const radius = field("Radius", "60″");
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!place.value.trim()) return place.focus();
    const cone = { position: place.value.trim(), radius: (radius.value.trim() || "60").replace("″", '"').replace("′", "'") };
    setFilter("cone", [{ cone }]);
  };
  const form = h("form", { class: "add cone", onsubmit: add }, place, radius, h("button", { type: "submit" }, "Add"));
  return h("section", {}, h("h3", { title: "Radius in arcsec, or as 2' or 0.5 deg" }, "Near a position"), form);
}

/** Conditions in a text of one's own. */
function addText() {
  const field = /** @type {HTMLTextAreaElement} */ (
    h("textarea", {
      rows: 3,
      "aria-label": "Filter as text",
      placeholder: 'class in ("EA", "EB") and\nnot 0.2 < period < 1',
      spellcheck: "false",
      maxlength: 1000,
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter" && !event.shiftKey) add(event);
      },
    })
  );
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return field.focus();
    setFilter(`text:${text}`, [{ filter: text }]);
    field.value = "";
  };
  editText = (text) => {
    field.value = text;
    field.focus();
  };
  const functions = "contains(name, \"12\"), matches(name, \"^S\"), missing(period), cone(ra, dec, 60), subset(\"name\")";
  const title = `Columns, numbers, = != < > <= >=, and or not, in, + - * / log10(...), ${functions}`;
  return h(
    "section",
    {},
    h("h3", { title }, "Filter as text"),
    h("form", { class: "add text", title, onsubmit: add }, field, h("button", { type: "submit" }, "Add")),
  );
}

let editText = (/** @type {string} */ _) => {};

/** @param {any[]} conditions @returns {any[]} the opposite, or what was negated */
function negated(conditions) {
  const inner = conditions.length === 1 ? conditions[0].not : undefined;
  if (inner) return inner.all ?? [inner];
  return [{ not: conditions.length === 1 ? conditions[0] : { all: conditions } }];
}

/** @param {string} key @param {any[]} conditions @returns {string} a filter in words */
function describeFilter(key, conditions) {
  const [first] = conditions;
  if (first.not) return `not ${describeFilter(key, first.not.all ?? [first.not])}`;
  if (first.filter !== undefined) return first.filter;
  if (first.subset !== undefined) return `in ${first.subset}`;
  if (first.cone) return `within ${first.cone.radius}${/^[\d.]+$/.test(first.cone.radius) ? "″" : ""} of ${first.cone.position}`;
  if (key === "confusion") return conditions.map(({ column: name, value }) => `${name} = ${value}`).join(", ");
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
  const edit = (/** @type {string} */ key, /** @type {string} */ text) => {
    setFilter(key);
    editText(text);
  };
  const chip = ([key, conditions]) => {
    const text = describeFilter(key, conditions);
    const own = conditions[0].filter;
    const button = (/** @type {string} */ label, /** @type {string} */ title, /** @type {() => void} */ run, name = "") =>
      h("button", { type: "button", class: name, title, "aria-label": `${title} the filter ${text}`, onclick: run }, label);
    const isOpposite = Boolean(conditions[0].not);
    return h(
      "span",
      { class: "chip" },
      h("span", { class: "what", title: text, onclick: own ? () => edit(key, own) : null }, text),
      own && button("✎", "Edit", () => edit(key, own)),
      button("¬", isOpposite ? "Undo the opposite of" : "Take the opposite of", () => setFilter(key, negated(conditions))),
      button("×", "Remove", () => setFilter(key), "remove"),
    );
  };
  const joint = (/** @type {"all"|"any"} */ match, /** @type {string} */ text, /** @type {string} */ title) =>
    h(
      "button",
      { type: "button", role: "radio", "aria-checked": String(state.match === match), title, onclick: () => set({ match }) },
      text,
    );
  const hadFocus = byId("chips").contains(document.activeElement);
  fill(
    byId("chips"),
    entries.length > 1 &&
      h(
        "div",
        { class: "segments", role: "radiogroup", "aria-label": "How filters are joined" },
        joint("all", "and", "All filters hold"),
        joint("any", "or", "At least one filter holds"),
      ),
    entries.map(chip),
    entries.length > 1 &&
      h("button", { type: "button", class: "quiet small", onclick: () => set({ filters: {} }) }, "Clear all"),
  );
  if (hadFocus && !entries.length) byId("table-title").focus();
}
