/** Colours for the colour-blind (Okabe & Ito 2008), with a shape for every further eight classes. */

const OKABE_ITO = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#7F7F7F"];
// on a dark ground: the same hues, the two dark ones raised, the yellow as published
const OKABE_ITO_DARK = ["#3D9BE0", "#E69F00", "#16B98A", "#D98BB6", "#7CC8F2", "#EC7430", "#F0E442", "#A0A0A0"];
export const SHAPES = /** @type {const} */ (["circle", "square", "triangle", "diamond", "cross"]);

/** @typedef {{colour: string, shape: typeof SHAPES[number]}} Style */

// bands by the colour of their light, blue to red; names beyond these take the classes' colours in turn
const BANDS = { u: 0, B: 0, g: 2, V: 2, G: 2, r: 5, R: 5, i: 3, I: 3, z: 6, y: 7 };

const systemDark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {boolean} whether the page is dark now */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemDark.matches;
}

/** @param {number} index of the class; -1 for none @returns {Style} */
export function classStyle(index) {
  const palette = isDark() ? OKABE_ITO_DARK : OKABE_ITO;
  if (index < 0) return { colour: isDark() ? "#6b7480" : "#a3abb5", shape: "circle" };
  return { colour: palette[index % palette.length], shape: SHAPES[Math.floor(index / palette.length) % SHAPES.length] };
}

/** @param {string} band @param {number} index @returns {Style} */
export function bandStyle(band, index) {
  const colour = BANDS[band.slice(-1)]; // g, zg, ztf_g
  return { colour: classStyle(colour ?? index).colour, shape: SHAPES[index % SHAPES.length] };
}

/** @param {string} name of a custom property of the style sheet @returns {string} its value in the present theme */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Set the theme: light, dark, or (null) the system's; the charts redraw themselves. @param {string|null} theme */
export function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  dispatchEvent(new Event("themechange"));
}

systemDark.addEventListener("change", () => dispatchEvent(new Event("themechange")));
