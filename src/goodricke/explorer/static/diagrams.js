/** Linked scatter plots: a lasso in one filters the table and the others; the object under the pointer is ringed in all. */

import { api, latestOnly } from "./api.js";
import { Chart } from "./chart.js";
import { classStyle, token } from "./colours.js";
import { column } from "./columns.js";
import { Confusion } from "./confusion.js";
import { debounce, emptyState, fill, h, pending, popover } from "./dom.js";
import { figureMenu } from "./exporting.js";
import { position, probability, short } from "./format.js";
import { classes } from "./glyph.js";
import { onHover, setHover } from "./hover.js";
import { classLegend, colourLegend } from "./legend.js";
import { density, lineLabels, outline, path, points, ring } from "./marks.js";
import { showError } from "./messages.js";
import { aboutPlot, colourScale, plotForm, removePlot, sizeScale } from "./plots.js";
import { FILTERS, set, setFilter, state, watch, where } from "./state.js";

const MAX_POINTS = 20000; // points in a diagram
const RETRY = 3000; // [ms] while the server computes a diagram

/** @typedef {{shape: number[], box: number[], cell: number[], count: number[], class?: number[], colour?: (number|null)[]}} Cells */
/** @typedef {{x: number[], y: number[], row: number[], class: number[], colour?: (number|null)[], size?: (number|null)[], cells?: Cells, box: number[], total: number, inside: number, shown: number}} Cloud */

const DRAGS = { lasso: "Lasso", box: "Box", zoom: "Zoom" };
let drag = /** @type {"lasso"|"box"|"zoom"} */ ("lasso"); // what dragging does in all diagrams

const TITLES = { embedding: "Embeddings", hr: "Hertzsprung-Russell", f1_a1: "Dominant variability", sky: "Sky" };

/** @param {string} name of a missing diagram @returns {string} */
const diagramTitle = (name) => TITLES[name] ?? name;

/** @param {string} text @returns {string} */
const asSentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replaceAll("`", "").replace(/\.?$/, ".")}`;

/** @param {"edge"|"grid"|"plane"} style of a line on a map */
const lineStyle = (style) => ({
  colour: token(style === "grid" ? "--grid" : style === "plane" ? "--accent" : "--axis"),
  width: style === "plane" ? 1.5 : 1,
  dash: style === "plane" ? [6, 4] : [],
});

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
    this.request = latestOnly((signal) => this.ask(where(), signal));
    this.legend = h("div", { class: "diagram-legend" });
    this.saveView = debounce(() => this.keepView(), 300);
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
    const save = figureMenu((format) => [
      `figures/diagrams/${encodeURIComponent(about.name)}`,
      { where: where(), view: this.view, format },
    ]);
    this.host = h("div", { class: "plot" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h(
      "figure",
      { class: "diagram", "data-diagram": about.name },
      h("figcaption", {}, h("strong", { title: about.note }, about.title), this.note, save, enlarge, remove),
      this.host,
      this.legend,
      this.tip,
    );
    this.scheduleTip = debounce((row, at) => this.showTip(row, at), 60);
    this.load();
  }

  /** @returns {number[]|null} the part of the diagram in the address */
  get view() {
    return state.views[this.about.name] ?? null;
  }

  /** @param {object} filter @param {AbortSignal} [signal] */
  ask(filter, signal) {
    return api.diagram(this.about.name, { where: filter, most: MAX_POINTS, view: this.view, cells: true }, signal);
  }

  async load() {
    this.element.setAttribute("aria-busy", "true");
    if (!this.host.children.length) fill(this.host, pending("Loading…"));
    try {
      const answer = await this.request();
      if (!answer) return;
      if (answer.ready === false) return await this.wait(answer.note);
      for (const empty of this.host.querySelectorAll(".empty")) empty.remove();
      this.chart ??= this.makeChart(answer.box);
      this.cloud = answer;
      if (!this.backdrop) await this.loadBackdrop(answer);
      this.drawNote();
      this.draw();
    } catch (error) {
      if (this.cloud) return showError(error);
      fill(this.host, emptyState("No diagram", /** @type {Error} */ (error).message));
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  /** The server computes it: try again later, once however often the filters change. @param {string} note */
  async wait(note) {
    fill(this.host, emptyState("Computing the map…", note));
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
    this.backdrop = filtered ? await this.ask({ all: [] }) : answer;
    if (!this.backdrop?.total) this.host.append(emptyState("", "No object has the values that it needs."));
  }

  /** @param {number[]} box x from, to, y from, to of the first view */
  makeChart(box) {
    const { x, y, title, kind } = this.about;
    const axes = kind === "sky" ? "a map of the sky" : `${y.label} against ${x.label}`;
    const chart = new Chart(this.host, {
      x,
      y,
      name: `${title}: ${axes}. Drag to select; the table below has the same objects.`,
      drag,
      bare: kind === "sky",
      onhover: (i, at) => this.hover(i, at),
      onclick: (i) => i !== null && this.cloud && set({ open: this.cloud.row[i] }),
      onlasso: (polygon) => setFilter(this.key, [{ inside: { diagram: this.about.name, polygon } }]),
      onview: () => this.saveView(),
    });
    chart.onthemechange = () => this.draw();
    const units = box.map((end, k) => (k < 2 ? chart.sx : chart.sy).transform(end));
    chart.sx.setHome(units[0], units[1]);
    chart.sy.setHome(units[2], units[3]);
    if (this.view) chart.view = this.view;
    return chart;
  }

  /** Put the part on show into the address; where points had been counted, ask for those in it. */
  keepView() {
    const { [this.about.name]: _, ...views } = state.views;
    const view = this.chart?.view ?? null;
    set({ views: view ? { ...views, [this.about.name]: view } : views });
  }

  /** The address has another part of the diagram. */
  showView() {
    const { chart, view } = this;
    if (!chart || JSON.stringify(view) === JSON.stringify(this.shownView ?? null)) return;
    this.shownView = view;
    chart.view = view;
    if ([this.cloud, this.backdrop].some((cloud) => cloud && (cloud.cells || cloud.inside < cloud.total))) {
      this.backdrop = null;
      this.load();
    }
  }

  drawNote() {
    const { shown, inside, total, cells } = /** @type {Cloud} */ (this.cloud);
    this.note.textContent = cells ? `${short(inside)} as density` : inside < total ? `${short(inside)} of ${short(total)}` : short(total);
    this.note.title = cells ? `All are counted in cells; ${short(shown)} of them react to the pointer. Zoom in for points.` : "";
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
    const ghost = token("--ghost");
    const back = backdrop.cells
      ? density({ cells: backdrop.cells, colour: () => ghost, alpha: 0.7 })
      : points({ ...backdrop, group: () => 0, styles: [{ colour: ghost, shape: "circle" }], size: 2.5, alpha: 0.45 });
    const values = cloud.cells?.colour ?? cloud.colour;
    const scale = values && colourScale(values);
    const shades = scale?.colours.map((colour) => ({ colour, shape: /** @type {const} */ ("circle") }));
    const palette = shades ? [...shades, styles[none]] : styles;
    const groupOf = (/** @type {number[]} */ all) => (/** @type {number} */ i) => (all[i] < 0 ? none : all[i]);
    const shadeOf = scale?.group ?? groupOf(cloud.cells?.class ?? cloud.class);
    const front = cloud.cells
      ? density({ cells: cloud.cells, colour: (k) => palette[shadeOf(k)].colour })
      : points({
          x: cloud.x,
          y: cloud.y,
          group: shadeOf,
          styles: palette,
          size,
          alpha: size > 4 ? 0.85 : room > 15 ? 0.75 : 0.55,
          scale: cloud.size && sizeScale(cloud.size),
        });
    fill(
      this.legend,
      scale ? colourLegend(this.about, scale) : classLegend(cloud.cells?.class ?? cloud.class, cloud.cells?.count),
    );
    const lasso = /** @type {any} */ (state.filters[this.key]?.[0])?.inside?.polygon;
    chart.points = cloud;
    chart.marks = [
      ...(this.about.outlines ?? []).map((/** @type {any} */ one) => path(one, lineStyle(one.style))),
      ...(filtered ? [back] : []),
      front,
      lineLabels(this.about.outlines ?? [], { text: token("--dim"), halo: token("--panel") }),
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
    columns: ["object_id", "class", "p_max", "ra", "dec"].filter(column),
  });
  const [item] = rows;
  const about = {
    name: String(item?.object_id ?? row),
    text: [
      item?.class ?? "no class",
      item?.p_max !== null && item?.p_max !== undefined && probability(item.p_max),
      item?.label && `label ${item.label}`,
      typeof item?.ra === "number" && typeof item.dec === "number" && position(item.ra, item.dec),
    ]
      .filter(Boolean)
      .join(" · "),
  };
  names.set(row, about);
  return about;
}

/** @param {HTMLElement} bar @param {HTMLElement} host @param {any} about */
export function buildDiagrams(bar, host, about) {
  const presets = about.diagrams.concat({ name: "confusion", title: "Confusion", is_default: false });
  const defaults = presets.filter((/** @type {any} */ item) => item.is_default).map((/** @type {any} */ item) => item.name);
  /** @type {Map<string, Diagram|Confusion>} those on show, by name */
  const items = new Map();
  const all = () => [...items.values()];
  const ringAll = (/** @type {number|null} */ row) => all().forEach((item) => item.ring(row));
  const shown = () => state.shown ?? defaults;
  const none = h(
    "div",
    { class: "diagram none" },
    about.missing.map((/** @type {any} */ item) =>
      emptyState(diagramTitle(item.name), `${asSentence(item.why)} ${asSentence(item.fix)}`),
    ),
  );
  const make = (/** @type {string} */ name) => {
    if (name === "confusion") return new Confusion();
    return new Diagram(presets.find((/** @type {any} */ item) => item.name === name) ?? aboutPlot(name));
  };
  const arrange = () => {
    const known = presets.map((/** @type {any} */ item) => item.name).filter((/** @type {string} */ n) => shown().includes(n));
    const names = [...known, ...state.plots];
    for (const name of [...items.keys()].filter((name) => !names.includes(name))) items.delete(name);
    for (const name of names) if (!items.has(name)) items.set(name, make(name));
    const isSingle = names.includes(state.diagram);
    const ordered = names.map((name) => /** @type {Diagram|Confusion} */ (items.get(name)));
    fill(
      host,
      ordered.map((item) => item.element),
      !names.length && (about.missing.length ? none : emptyState("No diagram", "Choose some above.")),
    );
    for (const item of ordered) item.element.hidden = isSingle && item.about.name !== state.diagram;
    host.classList.toggle("single", isSingle);
    const toggle = (/** @type {string} */ name) =>
      set({ diagram: "all", shown: shown().includes(name) ? shown().filter((n) => n !== name) : [...shown(), name] });
    drawBar(bar, { ...about, diagrams: presets }, shown(), toggle, () => {
      for (const item of all()) if (item instanceof Diagram && item.chart) item.chart.options.drag = drag;
      arrange();
    });
  };
  watch(FILTERS, () => all().forEach((item) => item.load()));
  watch(["open"], () => ringAll(null));
  watch(["diagram", "plots", "shown"], arrange);
  watch(["views"], () => all().forEach((item) => item.showView()));
  onHover(ringAll);
  arrange();
}

/** @param {HTMLElement} bar @param {any} about @param {string[]} shown @param {(name: string) => void} toggle @param {() => void} ondrag */
function drawBar(bar, about, shown, toggle, ondrag) {
  const preset = (/** @type {any} */ { name, title }) =>
    h(
      "button",
      { type: "button", "aria-pressed": String(shown.includes(name)), onclick: () => toggle(name) },
      TITLES[name] ?? title,
    );
  const mode = (/** @type {[any, string]} */ [name, title]) =>
    h(
      "button",
      { type: "button", role: "radio", "aria-checked": String(drag === name), onclick: () => ((drag = name), ondrag()) },
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
  const form = bar.querySelector(".plot-form") ?? plotForm(); // what is typed there stays
  const more = /** @type {HTMLDetailsElement} */ (
    h(
      "details",
      { class: "missing" },
      h("summary", {}, `${missing.length} more ${missing.length === 1 ? "diagram" : "diagrams"} available`),
      h("ul", {}, missing),
    )
  );
  popover(more);
  fill(
    bar,
    h("div", { class: "segments", role: "group", "aria-label": "Diagrams" }, about.diagrams.map(preset)),
    form,
    missing.length > 0 && about.diagrams.length > 0 && more,
    h("span", { class: "dim hint" }, "click: open · Ctrl + wheel: zoom"),
    h(
      "div",
      { class: "segments drag", role: "radiogroup", "aria-label": "Dragging in a diagram" },
      Object.entries(DRAGS).map(mode),
    ),
  );
}
