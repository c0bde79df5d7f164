/** One chart: axes about a canvas, with zoom, pan, lasso, hover and click, by pointer and by keyboard. */

import { token } from "./colours.js";
import { h } from "./dom.js";
import { Scale } from "./scales.js";

/**
 * @typedef {{left: number, right: number, top: number, bottom: number}} Box
 * @typedef {{ctx: CanvasRenderingContext2D, sx: Scale, sy: Scale, box: Box, ratio: number}} Plane what a mark draws on
 * @typedef {{label: string, log?: boolean, reversed?: boolean}} Axis
 * @typedef {object} Options
 * @property {Axis} x
 * @property {Axis} y
 * @property {string} name for screen readers
 * @property {"zoom"|"lasso"|"box"} [drag] what dragging does; with Shift it pans
 * @property {boolean} [bare] without ticks, and with the same scale on both axes: a map
 * @property {() => void} [onview] called when the user has zoomed or moved
 * @property {(i: number|null, at: {x: number, y: number}) => void} [onhover] index of the nearest point, or null
 * @property {(i: number|null, value: {x: number, y: number}) => void} [onclick]
 * @property {(polygon: number[][]) => void} [onlasso] corners in data units
 */

const REACH = 12; // of the pointer about a point [px]

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height @param {number} ratio @returns {CanvasRenderingContext2D} blank */
function sized(canvas, width, height, ratio) {
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  ctx.scale(ratio, ratio);
  return ctx;
}

/** @param {CanvasRenderingContext2D} ctx @param {Box} box @param {() => void} draw only within it */
function clipped(ctx, box, draw) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  ctx.clip();
  draw();
  ctx.restore();
}

/** @param {{x0: number, y0: number, x: number, y: number}} drag @returns {number[][]} of its box */
const corners = ({ x0, y0, x, y }) => [
  [x0, y0],
  [x, y0],
  [x, y],
  [x0, y],
];

export class Chart {
  /** @param {Element} host @param {Options} options */
  constructor(host, options) {
    this.options = { drag: "zoom", ...options };
    this.sx = new Scale(options.x);
    this.sy = new Scale(options.y);
    /** @type {((plane: Plane) => void)[]} */
    this.marks = [];
    /** @type {((plane: Plane) => void)[]} what comes and goes with the pointer, drawn over the marks */
    this.overlay = [];
    this.base = /** @type {HTMLCanvasElement} */ (h("canvas")); // axes and marks, kept while only the overlay changes
    this.stale = true;
    /** @type {{x: ArrayLike<number>, y: ArrayLike<number>}} points that hover and click find */
    this.points = { x: [], y: [] };
    this.canvas = /** @type {HTMLCanvasElement} */ (
      h("canvas", { tabindex: 0, role: "img", "aria-label": options.name })
    );
    host.append(this.canvas);
    /** @type {Box} of the plane */
    this.box = { left: 0, right: 1, top: 0, bottom: 1 };
    this.xTicks = this.yTicks = /** @type {{at: number, label: string}[]} */ ([]);
    this.frame = 0;
    /** @type {(() => void)|undefined} makes the marks again in the colours of the theme */
    this.onthemechange = undefined;
    /** @type {null|{x0: number, y0: number, x: number, y: number, pan: boolean, path: number[][]}} */
    this.dragging = null;
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
    addEventListener("themechange", (this.onTheme = () => this.onthemechange?.() ?? this.redraw()));
    this.listen();
  }

  /** Remove the chart and its listeners. */
  close() {
    removeEventListener("themechange", this.onTheme);
    this.canvas.remove();
  }

  /** Draw everything at the next frame, once for any number of calls. */
  redraw() {
    this.stale = true;
    this.refresh();
  }

  /** Draw only the overlay again. */
  refresh() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    if (this.stale) this.drawBase(width, height, ratio);
    this.stale = false;
    const ctx = sized(this.canvas, width, height, ratio);
    ctx.drawImage(this.base, 0, 0, width, height);
    clipped(ctx, this.box, () => {
      for (const mark of this.overlay) mark({ ctx, sx: this.sx, sy: this.sy, box: this.box, ratio });
      if (this.dragging) this.drawDrag(ctx, this.box);
    });
  }

  /** @param {number} width @param {number} height @param {number} ratio */
  drawBase(width, height, ratio) {
    const ctx = sized(this.base, width, height, ratio);
    ctx.font = `11px ${token("--sans")}`;
    const box = this.place(ctx, width, height);
    if (!this.options.bare) this.drawGrid(ctx, box);
    clipped(ctx, box, () => {
      for (const mark of this.marks) mark({ ctx, sx: this.sx, sy: this.sy, box, ratio });
    });
  }

  /** Leave room for the labels of the axes. @returns {Box} */
  place(ctx, width, height) {
    const box = { left: 8, right: width - 8, top: 8, bottom: height - (this.options.x.label ? 34 : 20) };
    this.sy.pixels = [box.bottom, box.top];
    this.yTicks = this.sy.ticks((box.bottom - box.top) / 38);
    if (this.options.bare) return this.placeMap(width, height);
    const widest = Math.max(...this.yTicks.map(({ label }) => ctx.measureText(label).width), 12);
    box.left = Math.ceil(widest) + (this.options.y.label ? 26 : 10);
    this.sx.pixels = [box.left, box.right];
    this.xTicks = this.roomyTicks(ctx, box.right - box.left);
    this.box = box;
    return box;
  }

  /** The same scale on both axes, in the middle. @param {number} width @param {number} height @returns {Box} */
  placeMap(width, height) {
    const [wide, tall] = [this.sx, this.sy].map(({ view }) => view[1] - view[0]);
    const scale = Math.min((width - 8) / wide, (height - 8) / tall);
    const [x, y] = [(width - wide * scale) / 2, (height - tall * scale) / 2];
    const box = { left: x, right: width - x, top: y, bottom: height - y };
    [this.sx.pixels, this.sy.pixels] = [[box.left, box.right], [box.bottom, box.top]];
    [this.xTicks, this.yTicks] = [[], []];
    return (this.box = box);
  }

  /** As many ticks below as their labels leave room for. @param {CanvasRenderingContext2D} ctx @param {number} width */
  roomyTicks(ctx, width) {
    for (let wanted = width / 60; wanted > 1; wanted *= 0.7) {
      const ticks = this.sx.ticks(wanted);
      const labels = ticks.reduce((sum, { label }) => sum + ctx.measureText(label).width + 14, 0);
      if (labels < width) return ticks;
    }
    return this.sx.ticks(1);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Box} box */
  drawGrid(ctx, box) {
    ctx.lineWidth = 1;
    ctx.strokeStyle = token("--grid");
    ctx.fillStyle = token("--dim");
    ctx.beginPath();
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    for (const { at, label } of this.xTicks) {
      ctx.moveTo(Math.round(at) + 0.5, box.top);
      ctx.lineTo(Math.round(at) + 0.5, box.bottom);
      const half = ctx.measureText(label).width / 2;
      ctx.fillText(label, Math.min(Math.max(at, box.left + half - 4), box.right + 6 - half), box.bottom + 5);
    }
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const { at, label } of this.yTicks) {
      ctx.moveTo(box.left, Math.round(at) + 0.5);
      ctx.lineTo(box.right, Math.round(at) + 0.5);
      ctx.fillText(label, box.left - 5, at);
    }
    ctx.stroke();
    ctx.strokeStyle = token("--axis");
    ctx.strokeRect(box.left + 0.5, box.top + 0.5, box.right - box.left - 1, box.bottom - box.top - 1);
    this.drawNames(ctx, box);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Box} box */
  drawNames(ctx, box) {
    ctx.textAlign = "center";
    ctx.textBaseline = "alphabetic";
    ctx.fillText(this.options.x.label, (box.left + box.right) / 2, box.bottom + 29, box.right - box.left);
    ctx.save();
    ctx.translate(11, (box.top + box.bottom) / 2);
    ctx.rotate(-Math.PI / 2);
    ctx.fillText(this.options.y.label, 0, 0, box.bottom - box.top);
    ctx.restore();
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Box} box */
  drawDrag(ctx, box) {
    const { x0, y0, x, y, pan, path } = /** @type {NonNullable<Chart["dragging"]>} */ (this.dragging);
    if (pan) return;
    ctx.beginPath();
    if (this.options.drag === "lasso") for (const [px, py] of path) ctx.lineTo(px, py);
    else ctx.rect(x0, y0, x - x0, y - y0);
    ctx.closePath();
    ctx.fillStyle = ctx.strokeStyle = token("--accent");
    ctx.globalAlpha = 0.12;
    ctx.fill();
    ctx.globalAlpha = 1;
    ctx.stroke();
  }

  /** @param {number} px @param {number} py @returns {number|null} index of the point nearest to the pixel, within reach */
  nearest(px, py) {
    const [x, y] = [this.sx.pixelsOf(this.points.x), this.sy.pixelsOf(this.points.y)];
    let best = REACH ** 2;
    let index = /** @type {number|null} */ (null);
    for (let i = 0; i < x.length; i++) {
      const distance = (x[i] - px) ** 2 + (y[i] - py) ** 2;
      if (distance < best) [best, index] = [distance, i];
    }
    return index;
  }

  /** Show all again. */
  reset() {
    this.sx.view = [...this.sx.home];
    this.sy.view = [...this.sy.home];
    this.viewed();
  }

  /** The user has zoomed or moved. */
  viewed() {
    this.redraw();
    this.options.onview?.();
  }

  /** @returns {number[]|null} x from, to, y from, to in data units; null: as at first */
  get view() {
    const ends = [...this.sx.view, ...this.sy.view];
    if ([...this.sx.home, ...this.sy.home].every((end, k) => end === ends[k])) return null;
    return ends.map((end, k) => Number(((k < 2 ? this.sx : this.sy).log ? 10 ** end : end).toPrecision(7)));
  }

  /** @param {(number|null)[]|null} ends as `view` gives them; null: as at first */
  set view(ends) {
    const home = [...this.sx.home, ...this.sy.home];
    const units = home.map((end, k) => {
      const given = ends?.[k] ?? null;
      const unit = given === null ? NaN : (k < 2 ? this.sx : this.sy).transform(given);
      return Number.isFinite(unit) ? unit : end;
    });
    this.sx.view = units.slice(0, 2);
    this.sy.view = units.slice(2);
    this.redraw();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => this.drop());
    canvas.addEventListener("pointerleave", () => this.options.onhover?.(null, { x: 0, y: 0 }));
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    const { offsetX: x, offsetY: y } = event;
    this.dragging = { x0: x, y0: y, x, y, pan: event.shiftKey, path: [[x, y]] };
  }

  /** @param {PointerEvent} event */
  move({ offsetX: x, offsetY: y }) {
    const drag = this.dragging;
    if (!drag) return this.options.onhover?.(this.nearest(x, y), { x, y });
    if (drag.pan) {
      this.sx.pan(x - drag.x);
      this.sy.pan(y - drag.y);
    }
    Object.assign(drag, { x, y });
    const [lastX, lastY] = drag.path[drag.path.length - 1];
    if (Math.hypot(x - lastX, y - lastY) > 4) drag.path.push([x, y]);
    if (drag.pan) this.redraw();
    else this.refresh();
  }

  /** @param {PointerEvent} event */
  release({ offsetX, offsetY }) {
    const drag = this.dragging;
    this.drop();
    if (drag?.pan) this.viewed();
    if (!drag || drag.pan) return;
    const far = Math.max(...drag.path.map(([x, y]) => Math.hypot(x - drag.x0, y - drag.y0)));
    if (far < 5)
      this.options.onclick?.(this.nearest(offsetX, offsetY), {
        x: this.sx.valueAt(offsetX),
        y: this.sy.valueAt(offsetY),
      });
    else if (this.options.drag === "lasso") this.lasso(drag.path);
    else if (this.options.drag === "box") this.lasso(corners(drag));
    else this.zoomTo(drag);
  }

  drop() {
    this.dragging = null;
    this.refresh();
  }

  /** @param {number[][]} path */
  lasso(path) {
    const digits = (/** @type {number} */ value) => Number(value.toPrecision(7));
    if (path.length > 2)
      this.options.onlasso?.(path.map(([x, y]) => [digits(this.sx.valueAt(x)), digits(this.sy.valueAt(y))]));
  }

  /** @param {{x0: number, x: number, y0: number, y: number}} drag a box; one that is flat keeps the other axis */
  zoomTo({ x0, x, y0, y }) {
    const sorted = (/** @type {number[]} */ ends) => /** @type {[number, number]} */ (ends.sort((a, b) => a - b));
    const [newX, newY] = [
      sorted([this.sx.unitAt(x0), this.sx.unitAt(x)]),
      sorted([this.sy.unitAt(y0), this.sy.unitAt(y)]),
    ];
    if (Math.abs(x - x0) > 8) this.sx.view = newX;
    if (Math.abs(y - y0) > 8) this.sy.view = newY;
    this.viewed();
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return; // the page scrolls as usual
    event.preventDefault();
    this.zoom(Math.exp(event.deltaY * 0.0015), event.offsetX, event.offsetY);
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] */
  zoom(factor, x = (this.box.left + this.box.right) / 2, y = (this.box.top + this.box.bottom) / 2) {
    this.sx.zoom(x, factor);
    this.sy.zoom(y, factor);
    this.viewed();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = 40;
    const actions = {
      ArrowLeft: () => this.sx.pan(step),
      ArrowRight: () => this.sx.pan(-step),
      ArrowUp: () => this.sy.pan(step),
      ArrowDown: () => this.sy.pan(-step),
      "+": () => this.zoom(0.8),
      "=": () => this.zoom(0.8),
      "-": () => this.zoom(1.25),
      0: () => this.reset(),
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    action();
    this.viewed();
  }
}
