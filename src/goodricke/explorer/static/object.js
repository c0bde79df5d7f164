/** One object in full, at the right: light curves, periodogram, classification, neighbours, fields and label. */

import { api, query } from "./api.js";
import { NEW } from "./columns.js";
import { byId, emptyState, fill, h, pending } from "./dom.js";
import { figureMenu } from "./exporting.js";
import { cell, number, position, probability } from "./format.js";
import { classTag } from "./glyph.js";
import { labels } from "./labels.js";
import { LightCurveView } from "./light_curve.js";
import { showError, showMessage } from "./messages.js";
import { PeriodogramView } from "./periodogram.js";
import { LabelBar } from "./label_bar.js";
import { set, state, watch } from "./state.js";
import { classificationView, historyView, periodView } from "./classification.js";

const COVERING = matchMedia("(max-width: 900px)"); // the object lies over the page
const PARTS = ["quarter", "campaign", "sector"]; // columns that identify the light curves of a star

const NO_CURVES = /** @type {[string, string, string]} */ ([
  "No light curves",
  "The catalog holds no observations. Start the explorer with the files that it was made from:",
  "goodricke explore CATALOG --light-curves FOLDER",
]);

/** @param {string} text put it on the clipboard */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    showMessage(`Copied – ${text}`);
  } catch {
    showMessage(`The browser doesn't allow to copy: ${text}`, { stay: 12000 });
  }
}

export class ObjectView {
  /** @param {HTMLElement} host @param {any} about @param {(step: number) => void} move to the previous or next object @param {() => void} focusTable */
  constructor(host, about, move, focusTable) {
    this.host = host;
    this.about = about;
    /** @type {any} */
    this.object = null;
    this.stop = new AbortController();
    this.curves = new LightCurveView((period) => this.periodogram?.setPeriod(period));
    this.periodogram = new PeriodogramView(
      (period) => this.curves.folder.setBase(period),
      (band) => this.loadPeriodogram(band),
      (frequency, harmonics) => this.reload({ subtract: frequency, harmonics }),
    );
    /** @type {{together: boolean, subtract: number|null, harmonics: number}} what is asked of the light curve */
    this.options = { together: false, subtract: null, harmonics: 1 };
    const figure = (/** @type {string} */ what, /** @type {() => object} */ more = () => ({})) =>
      figureMenu((format) => [`figures/rows/${this.object.row}/${what}${query({ ...this.options, ...more(), format })}`]);
    fill(this.curves.saveTime, figure("light_curve"));
    fill(this.curves.saveFold, figure("folded", () => ({ period: this.curves.folder.period })));
    fill(this.periodogram.save, figure("periodogram", () => ({ band: this.periodogram.bands.value })));
    this.saveHistory = figure("history");
    this.labelBar = new LabelBar(() => this.labelTarget());
    this.head = h("header", { class: "object-head" });
    this.classification = h("div", {});
    this.history = h("div", {});
    this.neighbours = h("div", {});
    this.fields = h("div", {});
    const pair = (/** @type {Element} */ left) => h("div", { class: "pair" }, left, this.classification);
    // a transient has no period: its history comes first, fold and periodogram when they are asked for
    this.search = /** @type {HTMLDetailsElement} */ (
      h("details", { class: "period-search", ontoggle: () => this.search.open && this.loadPeriodogram("") })
    );
    if (about.multiband) {
      const folded = /** @type {Element} */ (this.curves.element.querySelector(".folded"));
      fill(this.search, h("summary", {}, "Search for a period"), folded, this.periodogram.element);
    }
    this.body = h(
      "div",
      { class: "object-body" },
      this.curves.element,
      about.multiband ? [pair(this.history), this.search] : pair(this.periodogram.element),
      this.neighbours,
      this.fields,
    );
    this.move = move;
    this.focusTable = focusTable;
    /** @type {Element|null} what had the focus when an object was opened */
    this.opener = null;
    this.wantsFocus = false;
    COVERING.addEventListener("change", () => this.cover());
    fill(host, this.head, this.labelBar.element, this.body);
    labels.watch((row, entry) => this.updateLabel(row, entry));
    watch(["open"], () => this.show());
    watch(["compare"], () => this.object && (this.drawTools(), this.loadOther(this.stop.signal)));
  }

  /** The object that a label belongs to, null if none is on show. */
  labelTarget() {
    if (!this.object) return null;
    const { row, name, label, comment } = this.object;
    return { row, name, label, comment };
  }

  /** What lies below an object can't be reached. */
  cover() {
    for (const id of ["top", "filters", "centre"]) byId(id).inert = COVERING.matches && state.open !== null;
  }

  /** Put the focus on the name of the object, as soon as it is there. */
  focus() {
    const title = this.head.querySelector("h2");
    this.wantsFocus = this.object?.row !== state.open;
    if (!this.wantsFocus) title?.focus({ preventScroll: true });
  }

  /** Put the focus back where it was when the first object was opened. */
  returnFocus() {
    const opener = /** @type {HTMLElement|null} */ (this.opener);
    if (opener?.isConnected && opener !== document.body) opener.focus({ preventScroll: true });
    else this.focusTable();
  }

  async show() {
    const { open: row } = state;
    const hadFocus = this.host.contains(document.activeElement) || document.activeElement === document.body;
    const opens = this.host.hidden && row !== null;
    if (opens) this.opener = document.activeElement;
    const closes = !this.host.hidden && row === null;
    this.host.hidden = row === null;
    document.body.classList.toggle("with-object", row !== null);
    this.cover();
    if (closes && hadFocus) this.returnFocus();
    this.stop.abort();
    if (row === null) {
      this.host.removeAttribute("aria-busy");
      this.curves.close();
      this.periodogram.close();
      fill(this.neighbours);
      return void (this.object = null);
    }
    const { signal } = (this.stop = new AbortController());
    this.host.setAttribute("aria-busy", "true");
    try {
      this.options = { together: false, subtract: null, harmonics: 1 };
      if (!this.object) fill(this.head, pending("Loading…"));
      const object = await api.object(row, signal);
      this.object = { ...object, name: String(object.fields.object_id ?? row) };
      this.draw();
      if (this.wantsFocus || (opens && COVERING.matches)) this.focus();
      await Promise.all([this.loadCurve(signal), this.loadNeighbours(signal), this.loadHistory(signal)]);
    } catch (error) {
      if (!signal.aborted) this.showFailure(/** @type {Error} */ (error));
    } finally {
      if (!signal.aborted) this.host.removeAttribute("aria-busy");
    }
  }

  /** @param {Error} error */
  showFailure(error) {
    showError(error);
    if (!this.object) set({ open: null });
  }

  draw() {
    const { object } = this;
    this.drawHead();
    this.labelBar.show();
    fill(
      this.classification,
      classificationView(object, this.about.coverage),
      object.period && periodView(object.period, (days) => this.curves.folder.setBase(days)),
    );
    fill(this.fields, this.fieldList());
    fill(this.history);
  }

  drawHead() {
    const { fields, name, links } = this.object;
    const { ra, dec } = fields;
    const placed = typeof ra === "number" && typeof dec === "number";
    const parts = PARTS.filter((part) => (fields[part] ?? null) !== null).map((part) => `${part} ${fields[part]}`);
    const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ run) =>
      h("button", { type: "button", class: "quiet", title, "aria-label": title, onclick: run }, text);
    const outward = links.map((/** @type {any} */ item) =>
      h("a", { href: item.url, target: "_blank", rel: "noopener noreferrer" }, item.name),
    );
    fill(
      this.head,
      h(
        "div",
        { class: "object-title" },
        h("h2", { title: name, tabindex: -1 }, name),
        button("copy", "Copy the id", () => copy(name)),
        button("‹", "Previous object (k)", () => this.move(-1)),
        button("›", "Next object (j)", () => this.move(1)),
        button("×", "Close (Esc)", () => set({ open: null })),
      ),
      h(
        "p",
        { class: "object-line" },
        fields.class
          ? [
              classTag(fields.class),
              h("span", { class: "num" }, probability(this.object.class_probability)),
              this.object.leaves && h("span", { class: "dim num" }, this.object.leaves),
              this.object.is_new && h("span", { class: "badge", title: NEW }, "new?"),
            ]
          : h("span", { class: "badge" }, String(fields.status ?? "no class")),
        placed &&
          h(
            "span",
            { class: "dim num", title: `${number(ra, 8)} ${number(dec, 8)} deg` },
            position(ra, dec),
            button("copy", "Copy the position in degrees", () => copy(`${number(ra, 9)} ${number(dec, 9)}`)),
          ),
        parts.length > 0 && h("span", { class: "dim" }, parts.join(", ")),
        h("span", { class: "links" }, outward),
      ),
    );
  }

  /** @param {AbortSignal} signal */
  async loadCurve(signal) {
    if (!this.object.light_curve) {
      if (this.about.light_curves)
        this.curves.empty("No light curve", "No light curve in the files of --light-curves has this object's id.");
      else this.curves.empty(...NO_CURVES);
      this.periodogram.empty("No periodogram", "It needs a light curve.");
      return;
    }
    try {
      if (!this.curves.curve) fill(this.curves.timeHost, pending("Loading the light curve…"));
      const curve = await api.lightCurve(this.object.row, this.options, signal);
      this.curves.show(curve, this.options.subtract && this.curves.folder.period);
      this.drawTools();
      this.periodogram.setBands(curve.bands);
      await Promise.all([this.loadOther(signal), this.about.multiband && !this.search.open ? null : this.loadPeriodogram("")]);
    } catch (error) {
      if (signal.aborted) throw error;
      this.curves.empty("No light curve", /** @type {Error} */ (error).message);
      this.periodogram.empty("No periodogram");
    }
  }

  /** Ask for the light curve in another way. @param {object} change of the options */
  async reload(change) {
    Object.assign(this.options, change);
    await this.loadCurve(this.stop.signal).catch((error) => this.stop.signal.aborted || showError(error));
  }

  /** All light curves of the star as one; another star's light curve over this one. */
  drawTools() {
    const { object, options } = this;
    const pinned = state.compare === object.row;
    const { name, shift } = state.compare === null || pinned ? { name: "", shift: "" } : (this.curves.other ?? { name: "…", shift: "" });
    fill(
      this.curves.tools,
      object.light_curves > 1 &&
        h(
          "button",
          { type: "button", "aria-pressed": String(options.together), onclick: () => this.reload({ together: !options.together }) },
          `all ${object.light_curves} light curves of the star`,
        ),
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(pinned),
          title: "Keep this light curve, to be drawn over that of the objects that you open next",
          onclick: () => set({ compare: pinned ? null : object.row }),
        },
        pinned ? "kept to compare: open another" : "compare",
      ),
      name && h("button", { type: "button", title: "Remove it", onclick: () => set({ compare: null }) }, h("i", { class: "other-mark" }), name, shift && h("small", {}, shift), " ×"),
    );
  }

  /** @param {AbortSignal} signal */
  async loadOther(signal) {
    const { compare: row } = state;
    if (row === null || row === this.object.row) return this.curves.compare(null);
    try {
      const [curve, object] = await Promise.all([api.lightCurve(row, {}, signal), api.object(row, signal)]);
      this.curves.compare(String(object.fields.object_id), curve, this.about.multiband);
      this.drawTools();
    } catch (error) {
      if (signal.aborted) return;
      showError(error);
      set({ compare: null });
    }
  }

  /** @param {string} band */
  async loadPeriodogram(band) {
    const { signal } = this.stop;
    this.periodogram.host.setAttribute("aria-busy", "true");
    if (!this.periodogram.chart) fill(this.periodogram.host, pending("Computing the periodogram…"));
    try {
      const answer = await api.periodogram(this.object.row, { ...this.options, band }, signal);
      if (signal.aborted) return;
      this.periodogram.show(answer, this.options.subtract);
      // transients have no period: their highest peak means nothing
      if (!this.about.multiband && this.curves.folder.base === null)
        this.curves.folder.setBase(this.periodogram.bestPeriod);
      this.periodogram.setPeriod(this.curves.folder.period);
    } catch (error) {
      if (!signal.aborted) this.periodogram.empty("No periodogram", /** @type {Error} */ (error).message);
    } finally {
      this.periodogram.host.removeAttribute("aria-busy");
    }
  }

  /** @param {AbortSignal} signal */
  async loadNeighbours(signal) {
    if (!this.about.neighbours) {
      fill(
        this.neighbours,
        h(
          "section",
          {},
          h("h3", {}, "Neighbours"),
          emptyState(
            "No embeddings",
            "Neighbours are objects with near embeddings. Open a catalog that has embeddings: the folder that " +
              "goodricke catalog wrote, or the .parquet of goodricke classify --out.",
          ),
        ),
      );
      return;
    }
    try {
      if (!this.neighbours.children.length)
        fill(this.neighbours, h("section", {}, h("h3", {}, "Neighbours"), pending("Looking for the nearest…")));
      const neighbours = await api.neighbours(this.object.row, signal);
      if (!neighbours.length) throw new Error("This object has no embedding, or no other object has one.");
      fill(
        this.neighbours,
        h(
          "section",
          {},
          h("h3", {}, "Nearest in the embedding"),
          h(
            "div",
            { class: "neighbours" },
            neighbours.map((/** @type {any} */ item) => this.neighbour(item)),
          ),
        ),
      );
    } catch (error) {
      if (signal.aborted) throw error;
      fill(
        this.neighbours,
        h("section", {}, h("h3", {}, "Neighbours"), emptyState("None", /** @type {Error} */ (error).message)),
      );
    }
  }

  /** @param {any} one */
  neighbour({ row, object_id, class: name, probability: p, distance, label }) {
    const picture = this.about.light_curves
      ? h("img", { src: api.thumbnail(row), alt: "", loading: "lazy", onerror: (event) => event.target.remove() })
      : null;
    const title = `${object_id}: ${name ?? "no class"} ${probability(p)}, distance ${number(distance, 3)}${label ? `, label ${label}` : ""}`;
    return h(
      "button",
      { type: "button", title, onclick: () => set({ open: row }) },
      h("span", { class: "thumb" }, picture),
      h("span", { class: "who" }, String(object_id)),
      h("span", { class: "what" }, classTag(label ?? name), h("small", {}, number(distance, 3))),
    );
  }

  /** @param {AbortSignal} signal */
  async loadHistory(signal) {
    if (!this.about.multiband || !this.object.light_curve) return;
    try {
      fill(this.history, h("section", {}, h("h3", {}, "History"), pending("Computing the history…")));
      const answer = await api.history(this.object.row, signal);
      fill(this.history, historyView(answer, this.saveHistory));
    } catch (error) {
      if (signal.aborted) throw error;
      fill(
        this.history,
        h("section", {}, h("h3", {}, "History"), emptyState("None", /** @type {Error} */ (error).message)),
      );
    }
  }

  fieldList() {
    const about = new Map(this.about.columns.map((/** @type {any} */ item) => [item.name, item.about]));
    const entries = Object.entries(this.object.fields).filter(([, value]) => value !== null && value !== "");
    const line = ([name, value]) =>
      h(
        "div",
        { title: about.get(name) || null },
        h("dt", {}, name),
        h("dd", {}, typeof value === "number" ? number(value, 8) : cell(value)),
      );
    return h(
      "details",
      { class: "fields", open: this.fieldsOpen, ontoggle: (event) => (this.fieldsOpen = event.target.open) },
      h("summary", {}, `All fields (${entries.length})`),
      h("dl", {}, entries.map(line)),
    );
  }

  /** @param {number} row @param {any} entry */
  updateLabel(row, entry) {
    if (this.object?.row !== row) return;
    Object.assign(this.object, entry);
    this.labelBar.show();
  }

  /** Fold at the catalog's period, or at the highest peak; again: at the other of the two. */
  fold() {
    const { folder, curve } = this.curves;
    const best = this.periodogram.bestPeriod;
    const catalogPeriod = curve?.period ?? null;
    folder.setBase(
      folder.base !== null && folder.base === catalogPeriod ? (best ?? catalogPeriod) : (catalogPeriod ?? best),
    );
    folder.slider.focus();
    this.curves.element.querySelector(".folded")?.scrollIntoView({ block: "nearest" });
  }
}
