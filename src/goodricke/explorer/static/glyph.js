/** The mark of a class beside its name, as in the diagrams, and anything else tinted with its colour. */

import { classStyle } from "./colours.js";
import { h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  circle: "M6 1.4a4.6 4.6 0 1 0 0 9.2a4.6 4.6 0 1 0 0-9.2z",
  square: "M2 2h8v8H2z",
  triangle: "M6 1l5.2 9.4H.8z",
  diamond: "M6 .4L11.4 6 6 11.6.6 6z",
  cross: "M4.3.8h3.4v3.5h3.5v3.4H7.7v3.5H4.3V7.7H.8V4.3h3.5z",
};

/** @type {string[]} */
let names = [];

/** @param {string[]} classes of the catalog, in the order of their colours */
export const setClasses = (classes) => (names = classes);

/** @param {string|null|undefined} name @returns {number} index of a class, -1 for another name */
export const classIndex = (name) => names.indexOf(/** @type {string} */ (name));

/** @returns {string[]} */
export const classes = () => names;

/**
 * Give an element the colour of a class as --tint, in this theme and the other.
 *
 * @template {Element} E
 * @param {E} element
 * @param {number} index
 * @returns {E}
 */
export function tint(element, index) {
  element.setAttribute("data-tint", String(index));
  /** @type {any} */ (element).style.setProperty("--tint", classStyle(index).colour);
  return element;
}

addEventListener("themechange", () => {
  for (const element of document.querySelectorAll("[data-tint]"))
    tint(element, Number(element.getAttribute("data-tint")));
});

/** @param {string|null|undefined} name @returns {SVGElement} */
export function glyph(name) {
  const index = classIndex(name);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("class", "glyph");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[classStyle(index).shape]);
  svg.append(path);
  return tint(svg, index);
}

/** @param {string|null|undefined} name @returns {HTMLElement} glyph and name */
export const classTag = (name) => h("span", { class: "class-tag" }, name ? glyph(name) : null, h("span", {}, name ?? "–"));
