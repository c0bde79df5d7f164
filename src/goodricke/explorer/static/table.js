/** The table: any number of rows, of which only those in view are elements; pages are loaded while scrolling. */

import { api, latestOnly } from "./api.js";
import { NEW, column, isNovel, shownColumns } from "./columns.js";
import { debounce, fill, h } from "./dom.js";
import { cell, count, number, objects, probability } from "./format.js";
import { classTag, classes } from "./glyph.js";
import { onHover, setHover } from "./hover.js";
import { labels } from "./labels.js";
import { showError } from "./messages.js";
import { FILTERS, set, state, watch, where } from "./state.js";

const TOUCH = matchMedia("(pointer: coarse)").matches;
const ROW = TOUCH ? 40 : 27; // height [px]
const HEAD = TOUCH ? 40 : 30;
const PAGE = 100;
const TALLEST = 8_000_000; // [px]; browsers stop at about 17 (Firefox) to 33 million
const WIDTHS = { object_id: 176, class: 112, label: 96, comment: 180, prediction_set: 150, status: 124, novelty: 116 };
const WIDEST = 170; // of a column whose heading is long
const LETTER = 7.4; // of headings and classes, about

/** @typedef {Record<string, any> & {row: number}} Row */

export class Table {
  /** @param {HTMLElement} host @param {(total: number|null, seconds: number, failure?: Error) => void} ontotal null if the query failed */
  constructor(host, ontotal) {
    this.ontotal = ontotal;
    this.total = 0;
    this.top = 0; // of the view, in pixels of a table without a limit of height
    this.lastScroll = 0;
    this.current = -1;
    /** @type {Map<number, Row[]|null>} null: requested */
    this.pages = new Map();
    /** @type {Map<number, HTMLElement>} rows in view by index */
    this.elements = new Map();
    this.generation = 0;
    /** @type {Promise<void>} */
    this.reloading = Promise.resolve();
    this.head = h("div", { class: "row head", role: "row", "aria-rowindex": 1 });
    this.window = h("div", { class: "window", role: "rowgroup" });
    this.spacer = h("div", { class: "spacer" });
    this.scroller = h(
      "div",
      {
        class: "scroller",
        role: "grid",
        tabindex: 0,
        "aria-label": "Objects",
        style: { "--row": `${ROW}px`, "--head": `${HEAD}px` },
      },
      this.head,
      this.window,
      this.spacer,
    );
    host.append(this.scroller);
    this.first = latestOnly((signal) => api.rows(this.query(0), signal));
    this.fetchInView = debounce(() => this.fetchPages(), 40);
    this.realign = debounce(() => this.align(), 150);
    this.listen();
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.scrolled());
    this.scroller.addEventListener("keydown", (event) => this.key(event));
    this.scroller.addEventListener("mouseleave", () => setHover(null));
    new ResizeObserver(() => this.layout()).observe(this.scroller);
    watch([...FILTERS, "sort"], () => this.reload());
    watch(["columns"], () => this.reload(true));
    watch(["open"], () => this.locate().catch(showError));
    labels.watch((row, entry, name) => this.updateLabel(row, entry, name));
    onHover((row) => {
      for (const element of this.elements.values())
        element.classList.toggle("hover", row !== null && element.dataset.row === String(row));
    });
  }

  /** @param {number} offset @param {number} [limit] */
  query(offset, limit = PAGE) {
    const columns = shownColumns().filter(column);
    return { where: where(), sort: state.sort, offset, limit, columns };
  }

  /** Load the first page again: filters, order or columns have changed. @param {boolean} [stay] at the same position */
  reload(stay = false) {
    this.reloading = this.fetchFirst(stay);
    return this.reloading;
  }

  /** @param {boolean} stay */
  async fetchFirst(stay) {
    const generation = ++this.generation;
    this.scroller.setAttribute("aria-busy", "true");
    this.drawHead();
    try {
      const answer = await this.first();
      if (!answer || generation !== this.generation) return;
      this.pages = new Map([[0, answer.rows]]);
      this.total = answer.total;
      if (!stay) [this.top, this.current, this.lastScroll, this.scroller.scrollTop] = [0, -1, 0, 0];
      this.layout();
      this.ontotal(answer.total, answer.seconds);
    } catch (error) {
      if (generation === this.generation) this.ontotal(null, 0, /** @type {Error} */ (error));
      showError(error);
    } finally {
      if (generation === this.generation) this.scroller.removeAttribute("aria-busy");
    }
  }

  drawHead() {
    const names = shownColumns();
    const widths = names.map((name) => `${columnWidth(name)}px`);
    this.scroller.style.setProperty("--columns", `${widths.join(" ")} 1fr`);
    this.scroller.setAttribute("aria-colcount", String(names.length));
    fill(
      this.head,
      names.map((name) => this.headCell(name)),
    );
    for (const element of this.elements.values()) element.remove();
    this.elements.clear();
  }

  /** @param {string} name */
  headCell(name) {
    const at = state.sort.findIndex((item) => item.column === name);
    const descending = at >= 0 && state.sort[at].descending;
    const { about, unit } = column(name) ?? {};
    const sorted = at < 0 ? "none" : descending ? "descending" : "ascending";
    const arrow = at < 0 ? "" : `${descending ? "↓" : "↑"}${state.sort.length > 1 ? at + 1 : ""}`;
    const kind = column(name)?.type === "number" ? "number" : "text";
    const button = h(
      "button",
      { type: "button", title: about ? `${name}: ${about}` : name, onclick: (event) => sortBy(name, event.shiftKey) },
      h("span", { class: "name" }, name),
      unit && h("span", { class: "unit" }, `[${unit}]`),
      arrow && h("span", { class: "arrow" }, arrow),
    );
    return h("div", { class: `cell ${kind}`, role: "columnheader", "aria-sort": sorted }, button);
  }

  get height() {
    return Math.max(this.scroller.clientHeight - HEAD, ROW);
  }

  /** Lowest position of the view. */
  get bottom() {
    return Math.max(this.total * ROW - this.height, 0);
  }

  layout() {
    this.spacer.style.height = `${Math.min(this.total * ROW, TALLEST)}px`;
    this.scroller.setAttribute("aria-rowcount", String(this.total + 1));
    this.top = Math.min(this.top, this.bottom);
    this.draw();
  }

  /** A small move of the scroll bar is a small move; a large one goes to its share of the table. */
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const end = scrollHeight - clientHeight;
    const delta = scrollTop - this.lastScroll;
    this.lastScroll = scrollTop;
    if (this.total * ROW <= TALLEST) this.top = scrollTop;
    else if (scrollTop <= 0 || scrollTop >= end - 1) this.top = scrollTop <= 0 ? 0 : this.bottom;
    else this.top = Math.abs(delta) < this.height ? this.top + delta : (scrollTop / end) * this.bottom;
    this.top = Math.min(Math.max(this.top, 0), this.bottom);
    this.draw();
    this.realign();
  }

  /** Put the scroll bar where the view is. */
  align() {
    const end = this.scroller.scrollHeight - this.scroller.clientHeight;
    const target = this.total * ROW <= TALLEST ? this.top : (this.top / Math.max(this.bottom, 1)) * end;
    if (Math.abs(this.scroller.scrollTop - target) < 1) return;
    this.scroller.scrollTop = target;
    this.lastScroll = this.scroller.scrollTop;
  }

  draw() {
    const from = Math.floor(this.top / ROW);
    const to = Math.min(Math.ceil((this.top + this.height) / ROW), this.total);
    for (const [index, element] of this.elements) {
      if (index >= from && index < to) continue;
      element.remove();
      this.elements.delete(index);
    }
    for (let index = from; index < to; index++) {
      let element = this.elements.get(index);
      if (!element || (element.dataset.row === undefined && this.at(index))) {
        element?.remove();
        element = this.rowElement(index);
        this.elements.set(index, element);
        this.window.append(element);
      }
      element.style.transform = `translateY(${index * ROW - this.top}px)`;
    }
    this.mark();
    this.fetchInView();
  }

  /** @param {number} index @returns {Row|undefined} if it is loaded */
  at(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** @param {number} index */
  rowElement(index) {
    const row = this.at(index);
    const common = { class: "row", role: "row", id: `row-${index}`, "aria-rowindex": index + 2 };
    if (!row) return h("div", { ...common, class: "row waiting" }, h("div", { class: "cell", role: "gridcell" }, "…"));
    return h(
      "div",
      {
        ...common,
        "data-row": row.row,
        onclick: () => this.choose(index, true),
        onmouseenter: () => setHover(row.row),
      },
      shownColumns().map((name) => cellElement(name, row)),
    );
  }

  /** Mark the current row and the open one. */
  mark() {
    for (const [index, element] of this.elements) {
      element.classList.toggle("current", index === this.current);
      element.classList.toggle("open", state.open !== null && element.dataset.row === String(state.open));
      element.setAttribute("aria-selected", String(index === this.current));
    }
    if (this.elements.has(this.current)) this.scroller.setAttribute("aria-activedescendant", `row-${this.current}`);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  fetchPages() {
    const last = Math.floor(Math.min((this.top + this.height) / ROW, this.total - 1) / PAGE);
    for (let page = Math.floor(this.top / ROW / PAGE); page <= last; page++) this.fetchPage(page).catch(showError);
  }

  /** @param {number} page */
  async fetchPage(page) {
    if (this.pages.has(page) || page < 0) return;
    const { generation } = this;
    this.pages.set(page, null);
    try {
      const { rows } = await api.rows(this.query(page * PAGE));
      if (generation !== this.generation) return;
      this.pages.set(page, rows);
      if (this.pages.size > 200) this.pages.delete(/** @type {number} */ (this.pages.keys().next().value));
      this.draw();
    } catch (error) {
      this.pages.delete(page);
      throw error;
    }
  }

  /** @param {number} row @param {{label: string|null, comment: string|null}} entry @param {string} name of its object */
  updateLabel(row, entry, name) {
    for (const [page, rows] of this.pages) {
      rows?.forEach((item, k) => {
        if (item.row !== row && item.object_id !== name) return;
        Object.assign(item, entry);
        this.elements.get(page * PAGE + k)?.remove();
        this.elements.delete(page * PAGE + k);
      });
    }
    this.draw();
  }

  /** Make a row the current one. @param {number} index @param {boolean} [open] show the object too */
  async choose(index, open = false) {
    if (!this.total) return;
    this.current = Math.min(Math.max(index, 0), this.total - 1);
    const above = this.current * ROW;
    this.top = Math.min(Math.max(this.top, above + ROW - this.height), above);
    this.draw();
    this.align();
    if (!this.at(this.current)) await this.fetchPage(Math.floor(this.current / PAGE)).catch(showError);
    const row = this.at(this.current);
    if (!row) return;
    setHover(row.row);
    if (open) set({ open: row.row });
  }

  /** Go to the object on show, if it was opened elsewhere and matches the filters. */
  async locate() {
    this.mark();
    await Promise.resolve(); // the same change may have begun to reload the table, which goes to its top
    await this.reloading;
    const { open: row } = state;
    if (row === null || this.at(this.current)?.row === row) return;
    const { generation } = this;
    const { index } = await api.position({ where: where(), sort: state.sort, row });
    if (index === null || generation !== this.generation || state.open !== row) return;
    this.current = index;
    const above = index * ROW;
    if (above < this.top || above + ROW > this.top + this.height)
      this.top = Math.min(Math.max(above - this.height / 2, 0), this.bottom);
    this.draw();
    this.align();
  }

  /** The next row, or the one before; beside an open object it opens too. @param {number} step */
  move(step) {
    return this.choose(this.current < 0 ? 0 : this.current + step, state.open !== null);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const page = Math.floor(this.height / ROW) - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.target !== this.scroller) return;
    event.preventDefault();
    const step = steps[event.key];
    if (Number.isFinite(step)) this.move(step);
    else this.choose(step < 0 ? 0 : this.total - 1, state.open !== null);
  }

  /** Open the next object below without a label. @returns {Promise<boolean>} whether there is one */
  async nextUnlabelled() {
    for (let from = this.current + 1; from < this.total; from += 1000) {
      const { rows } = await api.rows({ ...this.query(from, 1000), columns: [] });
      const ahead = rows.findIndex((/** @type {Row} */ row) => row.label === null);
      if (ahead < 0) continue;
      await this.choose(from + ahead, true);
      return true;
    }
    return false;
  }
}

/** @param {string} name @returns {number} [px] room for the heading, and for the names of classes */
function columnWidth(name) {
  const usual = WIDTHS[name] ?? (column(name)?.type === "number" ? 92 : 124);
  const letters = name.length + (column(name)?.unit.length ?? -3) + 3;
  const longest = name === "class" || name === "leaf" ? Math.max(...classes().map(({ length }) => length + 3)) : 0;
  if (name === "class" && column("class_probability")) return WIDEST; // nodes of a taxonomy have long names
  return Math.max(usual, Math.min(Math.max(letters * LETTER + 14, longest * LETTER + 14), WIDEST));
}

/** Ascending, descending, as it was. @param {string} name @param {boolean} more keep the other columns' order */
function sortBy(name, more) {
  const old = state.sort.find((item) => item.column === name);
  const others = more ? state.sort.filter((item) => item.column !== name) : [];
  const numeric = column(name)?.type === "number";
  // numbers: the largest first, they are usually wanted
  if (!old) return set({ sort: [...others, { column: name, descending: numeric }] });
  set({ sort: old.descending === numeric ? [...others, { column: name, descending: !numeric }] : others });
}

/** @param {string} name @param {Row} row */
function cellElement(name, row) {
  const value = row[name];
  const kind = column(name)?.type === "number" ? "number" : "text";
  const content =
    name === "class" || (name === "label" && value)
      ? classTag(value)
      : name === "p_max"
        ? probabilityBar(value)
        : name === "object_id"
          ? String(value)
          : name === "novelty" && isNovel(value)
            ? [cell(value, name), " ", h("span", { class: "badge", title: NEW }, "new?")]
            : cell(value, name);
  const title = typeof value === "number" ? number(value, 12) : cell(value);
  return h("div", { class: `cell ${kind} ${name === "object_id" ? "id" : ""}`, role: "gridcell", title }, content);
}

/** @param {number|null} p */
const probabilityBar = (p) =>
  p === null || p === undefined
    ? ""
    : h("span", { class: "p-bar", style: { "--p": String(p) } }, h("span", {}, probability(p)));

/** @param {number} total @param {number} of @returns {string} "1,234 of 5,678 objects" */
export const tally = (total, of) => (total === of ? objects(of) : `${count(total)} of ${objects(of)}`);
