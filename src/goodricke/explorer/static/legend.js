/** Legends of a diagram, which filter: by class, or by steps of a colour. */

import { column } from "./columns.js";
import { h } from "./dom.js";
import { number, objects } from "./format.js";
import { classes, glyph } from "./glyph.js";
import { setFilter, state } from "./state.js";

const SHOWN = 10; // classes

/** @returns {string} the column whose values the colours of classes stand for: single classes, not nodes of a taxonomy */
const classColumn = () => (column("leaf") ? "leaf" : "class");

/**
 * @param {number[]} drawn class of each point or cell
 * @param {number[]} [weights] number of points of each
 * @returns {HTMLElement[]} a button for each class, the most frequent first
 */
export function classLegend(drawn, weights) {
  const counts = classes().map(() => 0);
  drawn.forEach((k, i) => k >= 0 && (counts[k] += weights?.[i] ?? 1));
  const name = classColumn();
  const key = `values:${name}`;
  const chosen = /** @type {any} */ (state.filters[key]?.[0])?.value ?? [];
  const toggle = (/** @type {string} */ value) => {
    const values = chosen.includes(value) ? chosen.filter((/** @type {string} */ v) => v !== value) : [...chosen, value];
    setFilter(key, values.length ? [{ column: name, op: "in", value: values }] : []);
  };
  const present = classes().map((value, k) => ({ value, n: counts[k] }));
  const listed = present.filter(({ value, n }) => n || chosen.includes(value)).sort((a, b) => b.n - a.n);
  return listed.slice(0, SHOWN).map(({ value, n }) =>
    h(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-pressed": String(chosen.includes(value)),
        title: `${value}: ${objects(n)}${weights ? " in cells where it is the most frequent" : ""}; click to filter`,
        onclick: () => toggle(value),
      },
      glyph(value),
      value,
    ),
  );
}

/**
 * @param {any} about of the diagram: its formula of the colour and the label of that
 * @param {{colours: string[], low: number, high: number}} scale
 * @returns {HTMLElement[]} a bar of steps that filter to what has this colour
 */
export function colourLegend({ name, colour, formula }, { colours, low, high }) {
  const step = (high - low) / colours.length;
  const key = `colour:${name}`;
  const choose = (/** @type {number} */ k) => {
    const [from, to] = [low + k * step, low + (k + 1) * step].map((end) => Number(end.toPrecision(6)));
    const parts = [k > 0 && `${from} <= ${formula}`, k < colours.length - 1 && `${formula} < ${to}`];
    const filter = parts.filter(Boolean).join(" and ");
    const same = /** @type {any} */ (state.filters[key]?.[0])?.filter === filter;
    setFilter(key, same ? [] : [{ filter }]);
  };
  const steps = colours.map((shade, k) => {
    const ends = `${number(low + k * step, 3)} to ${number(low + (k + 1) * step, 3)}`;
    return h("button", {
      type: "button",
      title: `${colour}: ${ends}; click to filter`,
      "aria-label": `${colour} from ${ends}`,
      style: { "--tint": shade },
      onclick: () => choose(k),
    });
  });
  return [
    h("span", { class: "dim" }, colour),
    h("span", { class: "dim num" }, number(low, 3)),
    h("span", { class: "steps" }, steps),
    h("span", { class: "dim num" }, number(high, 3)),
  ];
}
