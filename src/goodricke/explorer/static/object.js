/** One object in full, at the right: light curves, periodogram, classification, neighbours, fields and label. */

import { api } from "./api.js";
import { NEW } from "./columns.js";
import { emptyState, fill, h } from "./dom.js";
import { cell, number, position, probability } from "./format.js";
import { classTag } from "./glyph.js";
import { labels } from "./labels.js";
import { LightCurveView } from "./light_curve.js";
import { showError } from "./messages.js";
import { PeriodogramView } from "./periodogram.js";
import { LabelBar } from "./label_bar.js";
import { set, state, watch } from "./state.js";
import { classificationView, historyView, periodView } from "./classification.js";

const PARTS = ["quarter", "campaign", "sector"]; // columns that identify the light curves of a star

const NO_CURVES = /** @type {[string, string, string]} */ ([
  "No light curves",
  "The catalog holds no observations. Start the explorer with the files that it was made from:",
  "goodricke explore CATALOG --light-curves FOLDER",
]);

export class ObjectView {
  /** @param {HTMLElement} host @param {any} about @param {(step: number) => void} move to the previous or next object */
  constructor(host, about, move) {
    this.host = host;
    this.about = about;
    /** @type {any} */
    this.object = null;
    this.stop = new AbortController();
    this.curves = new LightCurveView((period) => this.periodogram?.setPeriod(period));
    this.periodogram = new PeriodogramView(
      (period) => this.curves.folder.setBase(period),
      (band) => this.loadPeriodogram(band),
    );
    this.labelBar = new LabelBar(() => this.labelTarget());
    this.head = h("header", { class: "object-head" });
    this.classification = h("div", {});
    this.history = h("div", {});
    this.neighbours = h("div", {});
    this.fields = h("div", {});
    // beside the classification: the history of a multi-band model, else the periodogram
    const [left, below] = about.multiband
      ? [this.history, this.periodogram.element]
      : [this.periodogram.element, this.history];
    const pair = h("div", { class: "pair" }, left, this.classification);
    this.body = h("div", { class: "object-body" }, this.curves.element, pair, below, this.neighbours, this.fields);
    this.move = move;
    fill(host, this.head, this.labelBar.element, this.body);
    labels.watch((row, entry) => this.updateLabel(row, entry));
    watch(["open"], () => this.show());
  }

  /** The object that a label belongs to. */
  labelTarget() {
    const { row, name, label, comment } = this.object;
    return { row, name, label, comment };
  }

  async show() {
    const { open: row } = state;
    this.host.hidden = row === null;
    document.body.classList.toggle("with-object", row !== null);
    this.stop.abort();
    if (row === null) return void (this.object = null);
    const { signal } = (this.stop = new AbortController());
    this.host.setAttribute("aria-busy", "true");
    try {
      const object = await api.object(row, signal);
      this.object = { ...object, name: String(object.fields.object_id ?? row) };
      this.draw();
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
        placed && h("span", { class: "dim num", title: `${number(ra, 8)} ${number(dec, 8)} deg` }, position(ra, dec)),
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
      const curve = await api.lightCurve(this.object.row, signal);
      this.curves.show(curve);
      this.periodogram.setBands(curve.bands);
      await this.loadPeriodogram("");
    } catch (error) {
      if (signal.aborted) throw error;
      this.curves.empty("No light curve", /** @type {Error} */ (error).message);
      this.periodogram.empty("No periodogram");
    }
  }

  /** @param {string} band */
  async loadPeriodogram(band) {
    const { signal } = this.stop;
    try {
      const answer = await api.periodogram(this.object.row, band, signal);
      if (signal.aborted) return;
      this.periodogram.show(answer);
      // transients have no period: their highest peak means nothing
      if (!this.about.multiband && this.curves.folder.base === null)
        this.curves.folder.setBase(this.periodogram.bestPeriod);
      this.periodogram.setPeriod(this.curves.folder.period);
    } catch (error) {
      if (!signal.aborted) this.periodogram.empty("No periodogram", /** @type {Error} */ (error).message);
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
      { type: "button", title, "aria-label": title, onclick: () => set({ open: row }) },
      h("span", { class: "thumb" }, picture),
      h("span", { class: "who" }, String(object_id)),
      h("span", { class: "what" }, classTag(label ?? name), h("small", {}, number(distance, 3))),
    );
  }

  /** @param {AbortSignal} signal */
  async loadHistory(signal) {
    if (!this.about.multiband || !this.object.light_curve) return;
    try {
      const answer = await api.history(this.object.row, signal);
      fill(this.history, historyView(answer));
    } catch (error) {
      if (signal.aborted) throw error;
      fill(
        this.history,
        h("section", {}, h("h3", {}, "Probability history"), emptyState("None", /** @type {Error} */ (error).message)),
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
