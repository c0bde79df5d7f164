/** Diagrams of the user's own: formulas of the catalog's columns, kept in the address as their names. */

import { allColumns, column } from "./columns.js";
import { isDark } from "./colours.js";
import { h, popover } from "./dom.js";
import { set, state } from "./state.js";

const PREFIX = "plot:"; // begins the names; the server reads the rest
const ENDS = ["x_from", "x_to", "y_from", "y_to"]; // fields of the form
const STEPS = 12; // of the colours
// viridis (Smith & van der Walt 2015), without its darkest part on a dark ground
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b"];

/** @typedef {{x: string, y: string, colour?: string, size?: string, log_x?: boolean, log_y?: boolean, reversed_x?: boolean, reversed_y?: boolean}} Plot */

/** @param {string} formula @returns {string} with the unit of a column */
const axisLabel = (formula) => {
  const unit = column(formula.trim())?.unit;
  return unit ? `${formula} [${unit}]` : formula;
};

/** @param {string} name @returns {any} what the server tells of its own diagrams */
export function aboutPlot(name) {
  /** @type {Plot} */
  let plot;
  try {
    plot = JSON.parse(name.slice(PREFIX.length));
  } catch {
    plot = { x: "?", y: "?" }; // the server says what is wrong
  }
  const { x, y, colour, size } = plot;
  return {
    name,
    title: `${y} against ${x}`,
    x: { label: axisLabel(String(x)), log: plot.log_x, reversed: plot.reversed_x },
    y: { label: axisLabel(String(y)), log: plot.log_y, reversed: plot.reversed_y },
    note: [colour && `colour: ${axisLabel(colour)}`, size && `size: ${axisLabel(size)}`].filter(Boolean).join("; "),
    colour: colour ? axisLabel(colour) : "",
    formula: colour ?? "",
    own: true,
  };
}

/** @type {Record<string, string>} */
const titles = {};

/** @param {{name: string, title: string}[]} diagrams of the server */
export const setTitles = (diagrams) => diagrams.forEach(({ name, title }) => (titles[name] = title));

/** @param {string} name @returns {string} of a diagram, in words */
export const diagramName = (name) => (name.startsWith(PREFIX) ? aboutPlot(name).title : (titles[name] ?? name));

/** @param {string} name */
export const removePlot = (name) =>
  set({
    plots: state.plots.filter((other) => other !== name),
    diagram: state.diagram === name ? "all" : state.diagram,
  });

/** @returns {HTMLElement} a form that adds a diagram */
export function plotForm() {
  const numbers = allColumns().filter(({ type }) => type === "number");
  const options = h(
    "datalist",
    { id: "plot-columns" },
    numbers.map(({ name, about }) => h("option", { value: /^\w+$/.test(name) ? name : JSON.stringify(name) }, about)),
  );
  const text = (/** @type {string} */ label, /** @type {string} */ name, /** @type {string} */ hint, required = true) =>
    h("label", {}, label, h("input", { name, list: "plot-columns", placeholder: hint, required, maxlength: 300 }));
  const check = (/** @type {string} */ label, /** @type {string} */ name) =>
    h("label", { class: "check" }, h("input", { type: "checkbox", name }), label);
  const end = (/** @type {string} */ name) =>
    h("input", { name, inputmode: "decimal", "aria-label": name.replace("_", " "), placeholder: "auto" });
  const form = h(
    "form",
    {
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        const data = new FormData(/** @type {HTMLFormElement} */ (event.target));
        const ends = ENDS.map((key) => (data.get(key) ? Number(data.get(key)) : null));
        const entries = [...data].filter(([key, value]) => value !== "" && !ENDS.includes(key));
        const name = PREFIX + JSON.stringify(Object.fromEntries(entries.map(([key, value]) => [key, value === "on" || value])));
        const views = ends.some((end) => end !== null) ? { ...state.views, [name]: ends } : state.views;
        set({ views, plots: state.plots.includes(name) ? state.plots : [...state.plots, name], diagram: "all" });
        close();
      },
    },
    h("p", {}, "Columns, or formulas such as phot_g_mean_mag + 5*log10(parallax) - 10"),
    text("x", "x", "bp_rp"),
    check("logarithmic", "log_x"),
    check("reversed", "reversed_x"),
    text("y", "y", "log10(period)"),
    check("logarithmic", "log_y"),
    check("reversed", "reversed_y"),
    text("colour", "colour", "by class", false),
    text("size", "size", "equal", false),
    h("span", { class: "ends" }, "from, to: x ", end("x_from"), end("x_to"), " y ", end("y_from"), end("y_to")),
    h("button", { type: "submit" }, "Draw"),
    options,
  );
  const details = /** @type {HTMLDetailsElement} */ (
    h("details", { class: "missing plot-form" }, h("summary", {}, "+ any axes"), form)
  );
  const close = popover(details);
  return details;
}

/**
 * Group points by a number, in steps of equal width from its 2nd to its 98th percentile.
 *
 * @param {(number|null)[]} values
 * @returns {{group: (i: number) => number, colours: string[], low: number, high: number}} group STEPS is for no value
 */
export function colourScale(values) {
  const known = Float64Array.from(values.filter((value) => value !== null)).sort();
  const at = (/** @type {number} */ q) => known[Math.round(q * (known.length - 1))] ?? NaN;
  const [low, high] = [at(0.02), at(0.98)];
  const step = (high - low) / STEPS || 1;
  const palette = isDark() ? VIRIDIS.slice(2) : VIRIDIS;
  const colours = Array.from({ length: STEPS }, (_, k) => palette[Math.round((k * (palette.length - 1)) / (STEPS - 1))]);
  const group = (/** @type {number} */ i) => {
    const value = values[i];
    return value === null ? STEPS : Math.min(Math.max(Math.floor((value - low) / step), 0), STEPS - 1);
  };
  return { group, colours, low, high };
}

/**
 * Sizes of points by a number: from half to three times the usual between its 2nd and its 98th percentile.
 *
 * @param {(number|null)[]} values
 * @returns {(i: number) => number}
 */
export function sizeScale(values) {
  const { group } = colourScale(values);
  return (i) => (values[i] === null ? 0.5 : 0.5 + (2.5 * group(i)) / (STEPS - 1));
}
