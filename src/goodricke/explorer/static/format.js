/** Numbers as astronomers write them. */

const integers = new Intl.NumberFormat("en");

/** @param {number} n @returns {string} 1,234,567 */
export const count = (n) => integers.format(n);

/** @param {number} n @returns {string} 1 object, 1,234 objects */
export const objects = (n) => `${count(n)} ${n === 1 ? "object" : "objects"}`;

/** @param {number} n @returns {string} 1.2M, 34k: where room is scarce */
export function short(n) {
  if (n >= 999500) return `${trim((n / 1e6).toPrecision(3))}M`;
  if (n >= 1e4) return `${trim((n / 1e3).toPrecision(3))}k`;
  return count(n);
}

/** @param {string} text */
const trim = (text) => (text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text);

/**
 * @param {number|null|undefined} value
 * @param {number} [digits] significant ones
 */
export function number(value, digits = 5) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value))
    return Math.abs(value) < 1e5 ? String(value) : Math.abs(value) < 1e15 ? count(value) : String(value);
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-4) return value.toExponential(Math.max(digits - 2, 1)).replace("e+", "e");
  return trim(value.toPrecision(Math.max(digits, Math.floor(Math.log10(size)) + 2)));
}

/** @param {number} p @returns {string} a probability to three digits, never rounded to a certainty */
export function probability(p) {
  if (p === null || p === undefined) return "–";
  if (p > 0.9995 && p < 1) return ">0.999";
  if (p < 0.0005 && p > 0) return "<0.001";
  return p.toFixed(3);
}

// columns with a fixed number of decimals, so that they align
const DECIMALS = /** @type {[RegExp, number][]} */ ([
  [/^(ra|dec|RA|DEC)$/, 5],
  [/^(p|std|node)_|^(novelty|entropy|mutual_information|aleatoric_entropy|class_probability|period_probability)$/, 3],
]);

/** @param {any} value @param {string} [name] of its column @returns {string} */
export function cell(value, name = "") {
  if (value === null || value === undefined) return "";
  const decimals = DECIMALS.find(([names]) => names.test(name))?.[1];
  if (typeof value === "number") return decimals ? value.toFixed(decimals).replace("-", "−") : number(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Array.isArray(value) ? value.map((item) => cell(item)).join(" ") : String(value);
}

/** @param {number} days @returns {string} a period in the unit that reads best */
export function period(days) {
  return days < 0.1 ? `${number(days * 1440, 5)} min` : `${number(days, 6)} d`;
}

/** @param {number} value @param {number} parts @returns {[string, string, string]} whole, minutes and seconds of 60 */
function sexagesimal(value, parts) {
  const total = Math.round(value * 3600 * 10 ** parts) / 10 ** parts;
  const seconds = (total % 60).toFixed(parts).padStart(parts ? parts + 3 : 2, "0");
  return [
    String(Math.floor(total / 3600)).padStart(2, "0"),
    String(Math.floor(total / 60) % 60).padStart(2, "0"),
    seconds,
  ];
}

/** @param {number} ra [deg] @param {number} dec [deg] @returns {string} "05 35 17.3 −05 23 28" */
export const position = (ra, dec) =>
  `${sexagesimal(ra / 15, 1).join(" ")} ${dec < 0 ? "−" : "+"}${sexagesimal(Math.abs(dec), 0).join(" ")}`;
