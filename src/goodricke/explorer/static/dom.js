/** Elements, made without markup: data become text nodes. */

/**
 * Build an element: `h("button", {class: "quiet", onclick: f, "aria-label": "Close"}, "×")`.
 *
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes; functions become listeners, null and false are left out
 * @param {...(Node|string|number|null|undefined|false|Array)} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Put other children in the place of an element's own; the keyboard stays where it was among them.
 *
 * @param {Element} element
 * @param {...(Node|string|null|undefined|false|Array)} children
 */
export function fill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const index = focused ? controls(element).indexOf(focused) : -1;
  element.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  if (focused && index >= 0 && !focused.isConnected) focusLike(element, focused, index);
}

/** @param {Element} element @returns {Element[]} what can have the focus */
const controls = (element) => [
  ...element.querySelectorAll("a, button:not(:disabled), input, select, textarea, summary, [tabindex]"),
];

/** @param {Element} control @returns {string} */
const nameOf = (control) => control.getAttribute("aria-label") ?? control.textContent ?? "";

/** Focus the control with the name of one that has gone, or the one in its place. @param {Element} element @param {Element} gone @param {number} index */
function focusLike(element, gone, index) {
  const now = controls(element);
  const same = now.find((control) => control.tagName === gone.tagName && nameOf(control) === nameOf(gone));
  const next = /** @type {HTMLElement|undefined} */ (same ?? now[Math.min(index, now.length - 1)]);
  next?.focus({ preventScroll: true });
}

/** @param {string} id @returns {HTMLElement} the element of index.html with this id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Run a function once the calls to it have paused.
 *
 * @template {any[]} A
 * @param {(...args: A) => void} run
 * @param {number} [pause] [ms]
 * @returns {(...args: A) => void}
 */
export function debounce(run, pause = 200) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(run, pause, ...args);
  };
}

/**
 * A message in an empty panel: what is missing and how to get it.
 *
 * @param {string} title
 * @param {string} [text]
 * @param {string} [command] shown as code
 */
export const emptyState = (title, text = "", command = "") =>
  h(
    "div",
    { class: "empty" },
    title && h("strong", {}, title),
    text && h("p", {}, text),
    command && h("code", {}, command),
  );

/** @param {string} text what is being loaded or computed, until it is there */
export const pending = (text) => h("div", { class: "empty pending", role: "status" }, h("p", {}, text));

/**
 * A menu that opens below its button, and closes with Escape or a click elsewhere.
 *
 * @param {string} name
 * @param {string} title
 * @param {(close: () => void) => (Node|string|null|undefined|false|Array)[]} items made when it opens
 * @returns {HTMLElement}
 */
export function menu(name, title, items) {
  const host = h("div", { class: "items" });
  const details = /** @type {HTMLDetailsElement} */ (
    h("details", { class: "menu" }, h("summary", { title, "aria-label": `${name}: ${title}` }, name), host)
  );
  const close = popover(details);
  details.addEventListener("toggle", () => details.open && fill(host, ...items(close)));
  return details;
}

/**
 * Close what opens below its summary with Escape or a click elsewhere; the focus goes back to the summary.
 *
 * @param {HTMLDetailsElement} details
 * @returns {() => void} closes it
 */
export function popover(details) {
  const close = () => {
    if (details.contains(document.activeElement)) details.querySelector("summary")?.focus();
    details.open = false;
  };
  const outside = (/** @type {Event} */ event) => {
    if (!details.contains(/** @type {Node} */ (event.target))) close();
  };
  details.addEventListener("toggle", () => {
    if (details.open) addEventListener("pointerdown", outside);
    else removeEventListener("pointerdown", outside);
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    close();
  });
  return close;
}
