/** A running alert engine: its rate, its lag, and the latest changes of class. */

import { api } from "./api.js";
import { token } from "./colours.js";
import { emptyState, fill, h } from "./dom.js";
import { count, number, probability, short } from "./format.js";
import { classIndex, classTag, glyph, tint } from "./glyph.js";
import { line } from "./marks.js";
import { set, setFilter, state, watch } from "./state.js";
import { Chart } from "./chart.js";

const INTERVAL = 2000; // [ms]
const MAX_RATES = 150; // of the last five minutes

/** @param {string} name @param {string} title */
function tile(name, title = "") {
  const value = h("strong", {}, "–");
  return { element: h("div", { class: "tile", title }, h("span", {}, name), value), value };
}

/** @param {Record<string, number>} counts @param {boolean} classes */
function bars(counts, classes) {
  const sorted = Object.entries(counts ?? {}).sort(([, a], [, b]) => b - a);
  const most = Math.max(...sorted.map(([, n]) => n), 1);
  const fillBar = (/** @type {string} */ name, /** @type {number} */ n) =>
    tint(h("span", { class: "fill", style: { width: `${(n / most) * 100}%` } }), classes ? classIndex(name) : -1);
  return h(
    "div",
    { class: "facet" },
    sorted.map(([name, n]) =>
      h(
        "div",
        { class: "value" },
        classes ? glyph(name) : h("i", { class: "tick" }),
        h("span", { class: "name" }, name),
        h("span", { class: "track" }, fillBar(name, n)),
        h("span", { class: "count" }, short(n)),
      ),
    ),
  );
}

/** @param {any} change */
function changeLine({ object_id, time, previous_class, class: name, p_max, n_obs }) {
  const find = () => {
    setFilter("search", [{ search: String(object_id) }]);
    set({ view: "catalog" });
  };
  return h(
    "tr",
    {},
    h(
      "td",
      {},
      h(
        "button",
        { type: "button", class: "link", title: "Look for it in the catalog", onclick: find },
        String(object_id),
      ),
    ),
    h("td", { class: "num" }, new Date(time * 1000).toISOString().slice(0, 19).replace("T", " ")),
    h("td", {}, previous_class ? classTag(previous_class) : h("span", { class: "dim" }, "new")),
    h("td", {}, "→"),
    h("td", {}, classTag(name)),
    h("td", { class: "num" }, probability(p_max)),
    h("td", { class: "num" }, count(n_obs)),
  );
}

/** @param {HTMLElement} host */
export function buildLive(host) {
  const tiles = {
    messages_per_second: tile("Alerts per second"),
    lag: tile("Lag", "messages waiting in the broker"),
    messages: tile("Alerts read"),
    answers: tile("Answers sent"),
    objects: tile("Objects"),
  };
  const status = h("p", { class: "live-status", role: "status" }, "Connecting to the engine…");
  const plot = h("div", { class: "plot" });
  const classes = h("section", {});
  const statuses = h("section", {});
  const changes = h("section", { class: "changes" });
  fill(
    host,
    h(
      "div",
      { class: "live-page" },
      status,
      h(
        "div",
        { class: "tiles" },
        Object.values(tiles).map(({ element }) => element),
      ),
      h("section", { class: "rate" }, h("h3", {}, "Alerts per second, the last five minutes"), plot),
      h("div", { class: "live-counts" }, classes, statuses),
      changes,
    ),
  );
  /** @type {[number, number][]} */
  const rates = [];
  const chart = new Chart(plot, { x: { label: "seconds ago" }, y: { label: "" }, name: "Alerts per second" });
  const draw = (/** @type {any} */ answer) => {
    for (const [name, { value }] of Object.entries(tiles))
      value.textContent =
        answer[name] === null || answer[name] === undefined
          ? "–"
          : name === "messages_per_second"
            ? number(answer[name], 3)
            : short(answer[name]);
    status.textContent =
      answer.note || (answer.well ? "Running." : "No new alerts for ten minutes, or the worker reports a problem.");
    status.classList.toggle("bad", !answer.well);
    rates.push([performance.now() / 1000, answer.messages_per_second ?? NaN]);
    rates.splice(0, rates.length - MAX_RATES);
    drawRate(chart, rates);
    fill(classes, h("h3", {}, "Classes"), bars(answer.classes, true));
    fill(statuses, h("h3", {}, "Statuses"), bars(answer.statuses, false));
    if (changes.matches(":hover, :focus-within")) return; // don't move rows that somebody reads or is about to click
    const head = h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["object", "time (UTC)", "before", "", "now", "p", "observations"].map((name) => h("th", {}, name)),
      ),
    );
    const body = (answer.changes ?? []).map(changeLine);
    fill(
      changes,
      h("h3", {}, "Latest changes of class"),
      body.length
        ? h("table", {}, head, h("tbody", {}, body))
        : emptyState("No change yet", "An object appears here when its most probable class changes."),
    );
  };
  const poll = async () => {
    if (state.view !== "live" || document.hidden) return;
    try {
      draw(await api.live());
    } catch (error) {
      status.textContent = /** @type {Error} */ (error).message;
      status.classList.add("bad");
    }
  };
  setInterval(poll, INTERVAL);
  watch(["view"], poll);
  poll();
}

/** @param {Chart} chart @param {[number, number][]} rates */
function drawRate(chart, rates) {
  const now = rates[rates.length - 1][0];
  chart.sx.setHome(-(MAX_RATES * INTERVAL) / 1000, 0);
  chart.sy.setHome(0, Math.max(...rates.map(([, rate]) => rate || 0), 1) * 1.1);
  chart.marks = [
    line({ x: rates.map(([at]) => at - now), y: rates.map(([, rate]) => rate), colour: token("--accent"), width: 2 }),
  ];
  chart.redraw();
}
