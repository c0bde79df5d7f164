/** What charts draw: points with error bars, lines, rings, outlines. */

import { h } from "./dom.js";
import { Raster } from "./raster.js";

/** @typedef {import("./chart.js").Plane} Plane */

/** @type {Map<string, import("./raster.js").Mask>} */
const masks = new Map();

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} shape
 * @param {number} x
 * @param {number} y
 * @param {number} r half the size [px]
 */
export function trace(ctx, shape, x, y, r) {
  ctx.beginPath();
  if (shape === "circle") ctx.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "square") ctx.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else polygon(ctx, x, y, r, CORNERS[shape]);
}

const CORNERS = {
  triangle: [
    [0, -1.1],
    [1.05, 0.8],
    [-1.05, 0.8],
  ],
  diamond: [
    [0, -1.25],
    [1.1, 0],
    [0, 1.25],
    [-1.1, 0],
  ],
  cross: [
    [-0.35, -1.1],
    [0.35, -1.1],
    [0.35, -0.35],
    [1.1, -0.35],
    [1.1, 0.35],
    [0.35, 0.35],
    [0.35, 1.1],
    [-0.35, 1.1],
    [-0.35, 0.35],
    [-1.1, 0.35],
    [-1.1, -0.35],
    [-0.35, -0.35],
  ],
};

/** @param {CanvasRenderingContext2D} ctx @param {number} x @param {number} y @param {number} r @param {number[][]} corners */
function polygon(ctx, x, y, r, corners) {
  corners.forEach(([dx, dy], k) => (k ? ctx.lineTo(x + r * dx, y + r * dy) : ctx.moveTo(x + r * dx, y + r * dy)));
  ctx.closePath();
}

/** @param {import("./colours.js").Style} style @param {number} size [px] @param {number} ratio device pixels per pixel @returns {import("./raster.js").Mask} */
function mask({ colour, shape }, size, ratio) {
  const key = `${colour} ${shape} ${size} ${ratio}`;
  const cached = masks.get(key);
  if (cached) return cached;
  const pixels = Math.ceil((size * 1.3 + 1) * ratio);
  const canvas = h("canvas", { width: pixels, height: pixels });
  const ctx = /** @type {any} */ (canvas).getContext("2d", { willReadFrequently: true });
  ctx.fillStyle = colour;
  trace(ctx, shape, pixels / 2, pixels / 2, (size / 2) * ratio);
  ctx.fill();
  const alpha = ctx
    .getImageData(0, 0, pixels, pixels)
    .data.filter((/** @type {number} */ _, /** @type {number} */ i) => i % 4 === 3);
  ctx.fillRect(0, 0, pixels, pixels);
  const [red, green, blue] = ctx.getImageData(0, 0, 1, 1).data;
  const result = { size: pixels, alpha, red, green, blue };
  masks.set(key, result);
  return result;
}

/**
 * Points, each in the style of its group.
 *
 * @param {object} data
 * @param {ArrayLike<number>} data.x
 * @param {ArrayLike<number>} data.y
 * @param {(i: number) => number} data.group
 * @param {import("./colours.js").Style[]} data.styles by group; a missing one hides it
 * @param {number} data.size [px]
 * @param {number} data.alpha
 * @param {ArrayLike<number>} [data.error] standard deviations, drawn as bars up and down
 * @param {(i: number) => number} [data.scale] factor of a point's size
 * @returns {(plane: Plane) => void}
 */
export function points({ x, y, group, styles, size, alpha, error, scale }) {
  return ({ ctx, sx, sy, ratio, box }) => {
    const raster = new Raster(box, ratio);
    const shapes = styles.map((style) => style && mask(style, size, ratio));
    const shapeOf = (/** @type {number} */ i) => {
      const style = styles[group(i)];
      return scale && style ? mask(style, size * scale(i), ratio) : shapes[group(i)];
    };
    const [px, py] = [sx.pixelsOf(x), sy.pixelsOf(y)];
    const faint = x.length > 6000 ? 0.12 : x.length > 1000 ? 0.25 : 0.4;
    for (let i = 0; error && i < px.length; i++) {
      const item = shapes[group(i)];
      if (item && error[i] > 0) raster.bar(item, px[i], sy.at(y[i] - error[i]), sy.at(y[i] + error[i]), faint);
    }
    for (let i = 0; i < px.length; i++) {
      const item = shapeOf(i);
      if (item) raster.stamp(item, px[i], py[i], alpha);
    }
    raster.paint(ctx);
  };
}

/**
 * A line; of more points than pixels only the lowest and the highest in each column are drawn.
 *
 * @param {{x: ArrayLike<number>, y: ArrayLike<number>, colour: string, width?: number, dash?: number[]}} data
 * @returns {(plane: Plane) => void}
 */
export function line({ x, y, colour, width = 1.25, dash = [] }) {
  return ({ ctx, sx, sy }) => {
    ctx.beginPath();
    let column = NaN;
    let low = 0;
    let high = 0;
    for (let i = 0; i < x.length; i++) {
      const px = sx.at(x[i]);
      const py = sy.at(y[i]);
      if (!Number.isFinite(py)) continue;
      if (Math.round(px * 2) !== column) {
        if (column === column && high > low) (ctx.lineTo(column / 2, low), ctx.lineTo(column / 2, high));
        ctx.lineTo(px, py);
        [column, low, high] = [Math.round(px * 2), py, py];
      } else [low, high] = [Math.min(low, py), Math.max(high, py)];
    }
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.lineJoin = "round";
    ctx.setLineDash(dash);
    ctx.stroke();
    ctx.setLineDash([]);
  };
}

/**
 * Numbers of points in the cells of a grid: the more, the less transparent; logarithmic.
 *
 * @param {{cells: {shape: number[], box: number[], cell: number[], count: number[]}, colour: (k: number) => string, alpha?: number}} data colour of a cell
 * @returns {(plane: Plane) => void}
 */
export function density({ cells: { shape, box, cell, count }, colour, alpha = 1 }) {
  const [nx, ny] = shape;
  const most = Math.log1p(count.reduce((a, b) => Math.max(a, b), 1));
  return ({ ctx, sx, sy }) => {
    const [u0, u1, v0, v1] = [sx.transform(box[0]), sx.transform(box[1]), sy.transform(box[2]), sy.transform(box[3])];
    const edges = (/** @type {any} */ scale, low, high, n) =>
      Array.from({ length: n + 1 }, (_, k) => Math.round(scale.fromUnit(low + ((high - low) * k) / n)));
    const [xs, ys] = [edges(sx, u0, u1, nx), edges(sy, v0, v1, ny)];
    cell.forEach((at, k) => {
      const [i, j] = [at % nx, Math.floor(at / nx)];
      ctx.globalAlpha = alpha * (0.22 + (0.78 * Math.log1p(count[k])) / most);
      ctx.fillStyle = colour(k);
      const [left, top] = [Math.min(xs[i], xs[i + 1]), Math.min(ys[j], ys[j + 1])];
      ctx.fillRect(left, top, Math.max(Math.abs(xs[i + 1] - xs[i]), 1), Math.max(Math.abs(ys[j + 1] - ys[j]), 1));
    });
    ctx.globalAlpha = 1;
  };
}

/**
 * A line of a map.
 *
 * @param {{x: (number|null)[], y: (number|null)[]}} data broken at null
 * @param {{colour: string, width: number, dash?: number[]}} style
 * @returns {(plane: Plane) => void}
 */
export function path({ x, y }, { colour, width, dash = [] }) {
  return ({ ctx, sx, sy }) => {
    ctx.beginPath();
    let pen = false;
    for (let i = 0; i < x.length; i++) {
      const [px, py] = [sx.at(/** @type {number} */ (x[i])), sy.at(/** @type {number} */ (y[i]))];
      if (x[i] === null) pen = false;
      else if (pen) ctx.lineTo(px, py);
      else (ctx.moveTo(px, py), (pen = true));
    }
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.setLineDash(dash);
    ctx.stroke();
    ctx.setLineDash([]);
  };
}

/**
 * The labels of a map's lines, legible over points.
 *
 * @param {{label: string, at: number[]|null}[]} lines
 * @param {{text: string, halo: string}} colours
 * @returns {(plane: Plane) => void}
 */
export function lineLabels(lines, { text, halo }) {
  return ({ ctx, sx, sy, box }) => {
    ctx.font = "10px sans-serif";
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    [ctx.fillStyle, ctx.strokeStyle, ctx.lineWidth, ctx.lineJoin] = [text, halo, 3, "round"];
    for (const { label, at } of lines) {
      if (!label || !at) continue;
      const x = Math.min(sx.at(at[0]) + 2, box.right - ctx.measureText(label).width - 2);
      ctx.strokeText(label, x, sy.at(at[1]) - 1);
      ctx.fillText(label, x, sy.at(at[1]) - 1);
    }
  };
}

/**
 * A ring about one point.
 *
 * @param {{x: number, y: number, colour: string, size?: number}} data
 * @returns {(plane: Plane) => void}
 */
export function ring({ x, y, colour, size = 6 }) {
  return ({ ctx, sx, sy }) => {
    const [px, py] = [sx.at(x), sy.at(y)];
    if (!Number.isFinite(px + py)) return;
    ctx.lineWidth = 2;
    ctx.strokeStyle = colour;
    trace(ctx, "circle", px, py, size);
    ctx.stroke();
  };
}

/**
 * The outline of a lasso.
 *
 * @param {{polygon: number[][], colour: string}} data
 * @returns {(plane: Plane) => void}
 */
export function outline({ polygon: corners, colour }) {
  return ({ ctx, sx, sy }) => {
    ctx.beginPath();
    for (const [x, y] of corners) ctx.lineTo(sx.at(x), sy.at(y));
    ctx.closePath();
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5;
    ctx.setLineDash([4, 3]);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 0.07;
    ctx.fillStyle = colour;
    ctx.fill();
    ctx.globalAlpha = 1;
  };
}
