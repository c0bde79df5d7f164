/** The classification of one object: probabilities with their spread, prediction set, novelty, and the history. */

import { Chart } from "./chart.js";
import { classStyle } from "./colours.js";
import { emptyState, fill, h } from "./dom.js";
import { number, probability } from "./format.js";
import { classIndex, glyph, tint } from "./glyph.js";
import { line } from "./marks.js";

const SHOWN_CLASSES = 8;
const SHOWN_NODE = 0.05; // probability from which a node of the taxonomy is shown

/** @param {{class: string, p: number, spread?: number|null}} one @param {string[]} set prediction set; empty without one @param {string} [kind] its CSS class */
function bar({ class: name, p, spread = null }, set, kind = "") {
  const inSet = set.includes(name);
  const faint = set.length > 0 && !inSet;
  const low = Math.max(p - (spread ?? 0), 0);
  const whisker =
    spread !== null && spread > 0.004
      ? h("span", {
          class: "whisker",
          style: { left: `${low * 100}%`, width: `${(Math.min(p + spread, 1) - low) * 100}%` },
        })
      : null;
  const title = `${name}: ${probability(p)}${spread ? ` ± ${number(spread, 2)}` : ""}${inSet ? ", in the prediction set" : ""}`;
  return h(
    "li",
    { class: inSet ? "in-set" : faint ? "faint" : kind, title },
    h("span", { class: "name" }, glyph(name), name),
    h(
      "span",
      { class: "track" },
      tint(h("span", { class: "fill", style: { width: `${p * 100}%` } }), classIndex(name)),
      whisker,
    ),
    h("span", { class: "p" }, probability(p)),
  );
}

/**
 * The answered period, the others as buttons that fold the light curve, and reasons to doubt it.
 *
 * @param {any} answer of the server: {period, text, probability, alternatives, false_alarm, notes}
 * @param {(period: number) => void} onchoice
 * @returns {HTMLElement}
 */
export function periodView(answer, onchoice) {
  const button = (/** @type {number} */ days, /** @type {string} */ text, /** @type {string} */ title) =>
    h("button", { type: "button", title, onclick: () => onchoice(days) }, text);
  const others = answer.alternatives.map((/** @type {any} */ other) =>
    button(
      other.period,
      [other.relation || `${other.text} d`, other.probability?.toFixed(2)].filter(Boolean).join(" "),
      `Fold on ${other.text} d${other.probability === null ? "" : `, with probability ${probability(other.probability)}`}`,
    ),
  );
  const hasFalseAlarm = answer.notes.some((/** @type {string} */ note) => note.startsWith("FAP"));
  /** @type {string[]} */
  const doubts = [...answer.notes, hasFalseAlarm ? "" : answer.false_alarm].filter(Boolean);
  const main = button(answer.period, `${answer.text} d`, "Fold on this period");
  return h(
    "section",
    { class: "answered-period" },
    h("h3", {}, "Period", h("span", { class: "dim readout" }, answer.measured || `p ${probability(answer.probability)}`)),
    h("div", { class: "peaks", role: "group", "aria-label": "Answered periods" }, main, others),
    h(
      "p",
      { class: "facts" },
      doubts.map((text) => h("span", {}, text)),
    ),
  );
}

/** @param {any} object @param {string} coverage of the prediction sets, in words @returns {HTMLElement} */
export function classificationView(object, coverage) {
  const sorted = [...object.probabilities].sort((a, b) => b.p - a.p);
  const set = object.prediction_set ?? [];
  const nodes = object.nodes.filter((/** @type {any} */ item) => item.p >= SHOWN_NODE).map((item) => bar(item, [], "node"));
  const list = h(
    "ul",
    { class: "probabilities" },
    nodes,
    sorted.slice(0, SHOWN_CLASSES).map((item) => bar(item, set)),
  );
  const more = sorted.length - SHOWN_CLASSES;
  const showAll = () =>
    fill(
      list,
      nodes,
      sorted.map((item) => bar(item, set)),
    );
  const facts = [
    Array.isArray(object.fields.prediction_set) &&
      h(
        "span",
        { title: coverage && `The true class is in it for ${coverage} like those of the training set` },
        h("b", {}, `${object.set_title} `),
        object.set_text,
      ),
    object.novelty !== null &&
      object.novelty !== undefined &&
      h("span", {}, h("b", {}, "Novelty "), number(object.novelty, 3)),
  ];
  if (!sorted.length)
    return h(
      "section",
      {},
      h("h3", {}, "Classification"),
      emptyState("No class", `Status: ${object.fields.status ?? "unknown"}.`),
    );
  const note = sorted.some((item) => item.spread)
    ? h("span", { class: "dim readout", title: "of the Monte-Carlo passes" }, "whisker ±1σ")
    : null;
  const button =
    more > 0 &&
    h(
      "button",
      { type: "button", class: "quiet more", onclick: (event) => (showAll(), event.target.remove()) },
      `${more} more`,
    );
  return h("section", {}, h("h3", {}, "Probabilities", note), list, button, h("p", { class: "facts" }, facts));
}

/** @param {any} answer of the server: {time, p: {CLASS: [...]}} @param {Element|null} save menu of the figure @returns {HTMLElement} the probabilities observation by observation */
export function historyView(answer, save = null) {
  const host = h("div", { class: "plot" });
  const last = (/** @type {string} */ name) => Math.max(...answer.p[name]);
  const names = Object.keys(answer.p)
    .sort((a, b) => last(b) - last(a))
    .slice(0, 6);
  const readout = h("span", { class: "dim readout" });
  const chart = new Chart(host, {
    x: { label: "observations" },
    y: { label: "probability" },
    name: `Probabilities after each of ${answer.steps.length} observations`,
    onhover: (i) =>
      (readout.textContent =
        i === null
          ? ""
          : `after ${answer.steps[i % answer.steps.length]} in ${answer.band[i % answer.steps.length]}: ${names[Math.floor(i / answer.steps.length)]} ${probability(answer.p[names[Math.floor(i / answer.steps.length)]][i % answer.steps.length])}`),
  });
  chart.sx.fit(answer.steps, 0.02);
  chart.sy.setHome(-0.03, 1.03);
  const draw = () => {
    chart.marks = names
      .map((name) =>
        line({ x: answer.steps, y: answer.p[name], colour: classStyle(classIndex(name)).colour, width: 1.8 }),
      )
      .reverse();
    chart.points = { x: names.flatMap(() => answer.steps), y: names.flatMap((name) => answer.p[name]) };
    chart.redraw();
  };
  chart.onthemechange = draw;
  draw();
  return h("section", {}, h("h3", { title: "Probabilities after each observation" }, "History", readout, save), host);
}
