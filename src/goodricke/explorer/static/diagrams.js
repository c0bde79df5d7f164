/** Linked scatter plots: a lasso in one filters the table and the others; the object under the pointer is ringed in all. */

import { api, latestOnly } from "./api.js";
import { Chart } from "./chart.js";
import { classStyle, token } from "./colours.js";
import { debounce, emptyState, fill, h } from "./dom.js";
import { probability, short } from "./format.js";
import { classes } from "./glyph.js";
import { onHover, setHover } from "./hover.js";
import { outline, points, ring } from "./marks.js";
import { showError } from "./messages.js";
import { aboutPlot, colourNote, colourScale, plotForm, removePlot } from "./plots.js";
import { set, setFilter, state, watch, where } from "./state.js";

const MAX_POINTS = 20000; // points in a diagram
const RETRY = 3000; // [ms] while the server computes a diagram

/** @typedef {{x: number[], y: number[], row: number[], class: number[], colour?: (number|null)[], total: number, shown: number}} Cloud */

const TITLES = { embedding: "Embeddings", hr: "Hertzsprung-Russell", f1_a1: "Dominant variability", sky: "Sky" };

/** @param {string} name of a missing diagram @returns {string} */
const diagramTitle = (name) => TITLES[name] ?? name;

/** @param {string} text @returns {string} */
const asSentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replaceAll("`", "").replace(/\.?$/, ".")}`;

class Diagram {
  /** @param {any} about of the server */
  constructor(about) {
    this.about = about;
    this.key = `lasso:${about.name}`;
    /** @type {Chart|undefined} */
    this.chart = undefined;
    /** @type {Cloud|null} all points, drawn pale behind the filtered ones */
    this.backdrop = null;
    /** @type {Cloud|null} points that match the filters */
    this.cloud = null;
    this.request = latestOnly((signal) => api.diagram(about.name, where(), MAX_POINTS, signal));
    this.note = h("span", { class: "note" });
    const enlarge = h(
      "button",
      {
        type: "button",
        class: "quiet small",
        title: "Large, or all together",
        "aria-label": `${about.title}: large or small`,
        onclick: () => set({ diagram: state.diagram === about.name ? "all" : about.name }),
      },
      "⤢",
    );
    const remove = about.own
      ? h(
          "button",
          { type: "button", class: "quiet small", "aria-label": `Remove ${about.title}`, onclick: () => removePlot(about.name) },
          "×",
        )
      : null;
    this.host = h("div", { class: "plot" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h(
      "figure",
      { class: "diagram", "data-diagram": about.name },
      h("figcaption", {}, h("strong", { title: about.note }, about.title), this.note, enlarge, remove),
      this.host,
      this.tip,
    );
    this.scheduleTip = debounce((row, at) => this.showTip(row, at), 60);
    this.load();
  }

  async load() {
    try {
      const answer = await this.request();
      if (!answer) return;
      if (answer.ready === false) return await this.wait(answer.note);
      for (const empty of this.host.querySelectorAll(".empty")) empty.remove();
      this.chart ??= this.makeChart();
      this.cloud = answer;
      if (!this.backdrop) await this.loadBackdrop(answer);
      this.drawNote();
      this.draw();
    } catch (error) {
      if (this.cloud) return showError(error);
      fill(this.host, emptyState("No diagram", /** @type {Error} */ (error).message));
    }
  }

  /** The server computes it: try again later, once however often the filters change. @param {string} note */
  async wait(note) {
    fill(this.host, emptyState("Computing…", note));
    const ticket = (this.waiting = Symbol("wait"));
    await new Promise((resolve) => setTimeout(resolve, RETRY));
    if (ticket !== this.waiting) return;
    const { diagrams } = await api.about(); // its note says how it was computed, or why it could not be
    this.about = diagrams.find((/** @type {any} */ item) => item.name === this.about.name) ?? this.about;
    await this.load();
  }

  /** @param {Cloud} answer */
  async loadBackdrop(answer) {
    const filtered = Object.keys(state.filters).length > 0;
    this.backdrop = filtered ? await api.diagram(this.about.name, { all: [] }, MAX_POINTS) : answer;
    if (!this.backdrop?.total) this.host.append(emptyState("", "No object has the values that it needs."));
    this.chart?.sx.fit(this.backdrop?.x ?? [], 0.03, 0.0005);
    this.chart?.sy.fit(this.backdrop?.y ?? [], 0.03, 0.0005);
  }

  makeChart() {
    const { x, y, title } = this.about;
    const chart = new Chart(this.host, {
      x,
      y,
      name: `${title}: ${y.label} against ${x.label}. Drag a lasso to filter; the table below has the same objects.`,
      drag: "lasso",
      onhover: (i, at) => this.hover(i, at),
      onclick: (i) => i !== null && this.cloud && set({ open: this.cloud.row[i] }),
      onlasso: (polygon) => setFilter(this.key, [{ inside: { diagram: this.about.name, polygon } }]),
    });
    chart.onthemechange = () => this.draw();
    return chart;
  }

  drawNote() {
    const { shown, total } = /** @type {Cloud} */ (this.cloud);
    this.note.textContent = shown < total ? `${short(shown)} of ${short(total)} drawn` : `${short(total)}`;
    this.note.title = shown < total ? "A random sample is drawn; the lasso selects from all objects." : "";
    if (this.about.note) this.note.title += ` ${this.about.note}`;
  }

  draw() {
    const { chart, cloud, backdrop } = this;
    if (!chart || !cloud || !backdrop) return;
    const styles = [...classes().map((_, k) => classStyle(k)), classStyle(-1)];
    const none = styles.length - 1;
    const room = (this.host.clientWidth * this.host.clientHeight) / Math.max(cloud.shown, 1); // [px²] for each point
    const size = Math.min(Math.max(0.75 * Math.sqrt(room), 3), 5.5);
    const filtered = cloud.total < backdrop.total;
    const back = {
      x: backdrop.x,
      y: backdrop.y,
      group: () => 0,
      styles: [{ colour: token("--ghost"), shape: /** @type {const} */ ("circle") }],
      size: 2.5,
      alpha: 0.45,
    };
    const scale = cloud.colour && colourScale(cloud.colour);
    const shades = scale?.colours.map((colour) => ({ colour, shape: /** @type {const} */ ("circle") }));
    const front = {
      x: cloud.x,
      y: cloud.y,
      group: scale?.group ?? ((/** @type {number} */ i) => (cloud.class[i] < 0 ? none : cloud.class[i])),
      styles: shades ? [...shades, styles[none]] : styles,
      size,
      alpha: size > 4 ? 0.85 : room > 15 ? 0.75 : 0.55,
    };
    if (scale) this.note.title = colourNote(this.about.colour, scale.low, scale.high);
    const lasso = /** @type {any} */ (state.filters[this.key]?.[0])?.inside?.polygon;
    chart.points = cloud;
    chart.marks = [
      ...(filtered ? [points(back)] : []),
      points(front),
      ...(lasso ? [outline({ polygon: lasso, colour: token("--accent") })] : []),
    ];
    this.ring(null);
    chart.redraw();
  }

  /** Ring the object on show, and the one under the pointer. @param {number|null} hovered row */
  ring(hovered) {
    if (!this.chart) return;
    this.chart.overlay = [...this.rings(state.open, token("--fg"), 7), ...this.rings(hovered, token("--accent"), 6)];
    this.chart.refresh();
  }

  /** @param {number|null} row @param {string} colour @param {number} size */
  rings(row, colour, size) {
    if (row === null) return [];
    for (const cloud of [this.cloud, this.backdrop]) {
      const at = cloud?.row.indexOf(row) ?? -1;
      if (cloud && at >= 0) return [ring({ x: cloud.x[at], y: cloud.y[at], colour, size })];
    }
    return [];
  }

  /** @param {number|null} i @param {{x: number, y: number}} at */
  hover(i, at) {
    const row = i === null ? null : /** @type {Cloud} */ (this.cloud).row[i];
    if (this.chart) this.chart.canvas.style.cursor = row === null ? "crosshair" : "pointer";
    setHover(row);
    if (row === null) this.tip.hidden = true;
    this.scheduleTip(row, at);
  }

  /** @param {number|null} row @param {{x: number, y: number}} at */
  async showTip(row, at) {
    if (row === null) return void (this.tip.hidden = true);
    const about = await objectSummary(row);
    fill(this.tip, h("strong", {}, about.name), h("br"), about.text);
    this.tip.hidden = false;
    const left = Math.min(at.x + 14, this.element.clientWidth - this.tip.offsetWidth - 4);
    this.tip.style.transform = `translate(${Math.max(left, 4)}px, ${at.y + 34}px)`;
  }
}

/** @type {Map<number, {name: string, text: string}>} */
const names = new Map();

/** @param {number} row */
async function objectSummary(row) {
  const cached = names.get(row);
  if (cached) return cached;
  const { rows } = await api.rows({
    where: { all: [{ rows: [row] }] },
    sort: [],
    offset: 0,
    limit: 1,
    columns: ["object_id", "class", "p_max"],
  });
  const [item] = rows;
  const about = {
    name: String(item?.object_id ?? row),
    text: [
      item?.class ?? "no class",
      item?.p_max !== null && item?.p_max !== undefined && probability(item.p_max),
      item?.label && `label ${item.label}`,
    ]
      .filter(Boolean)
      .join(" · "),
  };
  names.set(row, about);
  return about;
}

/** @param {HTMLElement} bar @param {HTMLElement} host @param {any} about */
export function buildDiagrams(bar, host, about) {
  const fixed = /** @type {Diagram[]} */ (about.diagrams.map((/** @type {any} */ item) => new Diagram(item)));
  /** @type {Map<string, Diagram>} */
  const own = new Map();
  const all = () => [...fixed, ...own.values()];
  const ringAll = (/** @type {number|null} */ row) => all().forEach((item) => item.ring(row));
  const none = h(
    "div",
    { class: "diagram none" },
    about.missing.map((/** @type {any} */ item) =>
      emptyState(diagramTitle(item.name), `${asSentence(item.why)} ${asSentence(item.fix)}`),
    ),
  );
  const arrange = () => {
    const isSingle = all().some((item) => item.about.name === state.diagram);
    drawBar(bar, { ...about, diagrams: all().map((item) => item.about) }, isSingle ? state.diagram : "all");
    for (const item of all()) item.element.hidden = isSingle && item.about.name !== state.diagram;
    if (all().length) none.remove();
    else host.append(none);
    host.classList.toggle("single", isSingle);
  };
  const plot = () => {
    for (const [name, item] of own) {
      if (state.plots.includes(name)) continue;
      item.element.remove();
      own.delete(name);
    }
    for (const name of state.plots.filter((name) => !own.has(name))) {
      const item = new Diagram(aboutPlot(name));
      own.set(name, item);
      host.append(item.element);
    }
    arrange();
  };
  fill(
    host,
    fixed.map((item) => item.element),
  );
  watch(["filters"], () => all().forEach((item) => item.load()));
  watch(["open"], () => ringAll(null));
  watch(["diagram"], arrange);
  watch(["plots"], plot);
  onHover(ringAll);
  plot();
}

/** @param {HTMLElement} bar @param {any} about @param {string} now */
function drawBar(bar, about, now) {
  const choices = [["all", "All"], ...about.diagrams.map((/** @type {any} */ item) => [item.name, item.title])];
  const tab = ([name, title]) =>
    h(
      "button",
      { type: "button", role: "radio", "aria-checked": String(now === name), onclick: () => set({ diagram: name }) },
      title,
    );
  const missing = about.missing.map((/** @type {any} */ item) =>
    h(
      "li",
      {},
      h("strong", {}, diagramTitle(item.name)),
      h("p", {}, asSentence(item.why)),
      h("p", {}, asSentence(item.fix)),
    ),
  );
  fill(
    bar,
    choices.length > 2 &&
      h("div", { class: "segments", role: "radiogroup", "aria-label": "Diagrams" }, choices.map(tab)),
    missing.length > 0 &&
      about.diagrams.length > 0 &&
      h(
        "details",
        { class: "missing" },
        h("summary", {}, `${missing.length} more ${missing.length === 1 ? "diagram" : "diagrams"} available`),
        h("ul", {}, missing),
      ),
    plotForm(),
    h("span", { class: "dim hint" }, "drag: lasso · click: open · Ctrl + wheel: zoom"),
  );
}
