/** The page: loads what the catalog is, then builds the parts. */

import { api } from "./api.js";
import { chooseColumns, column, setColumns } from "./columns.js";
import { isDark, setTheme } from "./colours.js";
import { buildDiagrams } from "./diagrams.js";
import { byId, debounce, emptyState, fill, h } from "./dom.js";
import { exportMenu } from "./exporting.js";
import { buildFilters } from "./filters.js";
import { objects } from "./format.js";
import { setClasses } from "./glyph.js";
import { addKeys, openHelp } from "./keys.js";
import { labels } from "./labels.js";
import { buildLive } from "./live.js";
import { reportErrors, showError, showMessage } from "./messages.js";
import { ObjectView } from "./object.js";
import { setTitles } from "./plots.js";
import { startSamp } from "./samp.js";
import { selectionMenu } from "./selection.js";
import { readHash, set, setFilter, state, watch } from "./state.js";
import { Table, tally } from "./table.js";

// in degrees with decimals, or sexagesimal: what is searched within an arcminute, and not in ids
const POSITION = /^(\d+\.\d+|\d+[\s:h]+\d+[\s:m]+[\d.]+s?)[\s,]+[+−-]?(\d+\.\d+|\d+[\s:d°]+\d+[\s:m'′]+[\d.]+[s"″]?)$/;

/** @param {any} about */
function drawHeader(about) {
  document.title = `${about.title} – goodricke explorer`;
  byId("title").textContent = about.title;
  const { model } = about;
  fill(
    byId("model"),
    objects(about.rows),
    model && [
      h(
        "span",
        { title: [model.summary, model.trained_on && `trained on ${model.trained_on}`].filter(Boolean).join("; ") },
        `model ${model.name}${model.photometry ? `, ${model.photometry} photometry` : ""}`,
      ),
      !model.found && h("span", { class: "badge warn", title: model.summary }, "model not found"),
      model.simulated &&
        h(
          "span",
          { class: "badge warn", title: "The model, or the catalog, comes from simulated light curves." },
          "SIMULATED",
        ),
    ],
  );
}

/** Light, dark; by default as in the system. */
function buildTheme() {
  const button = byId("theme");
  const draw = () => {
    const next = isDark() ? "light" : "dark";
    fill(button, isDark() ? "☀" : "☾");
    button.setAttribute("aria-label", `Change to the ${next} theme`);
    button.title = `Change to the ${next} theme`;
  };
  button.onclick = () => {
    const theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", theme);
    setTheme(theme);
  };
  addEventListener("themechange", draw);
  setTheme(localStorage.getItem("theme"));
}

/** @param {boolean} alerts */
function buildViews(alerts) {
  const draw = () => {
    const views = /** @type {["catalog"|"live", string][]} */ ([
      ["catalog", "Catalog"],
      ["live", "Live"],
    ]);
    for (const [view] of views) byId(view).hidden = state.view !== view;
    fill(
      byId("views"),
      views.map(([view, name]) =>
        h(
          "button",
          { type: "button", "aria-current": state.view === view ? "page" : null, onclick: () => set({ view }) },
          name,
        ),
      ),
    );
  };
  byId("views").hidden = !alerts;
  if (!alerts) set({ view: "catalog" });
  else buildLive(byId("live"));
  watch(["view"], draw);
  draw();
}

function buildSearch() {
  const input = /** @type {HTMLInputElement} */ (byId("search"));
  if (matchMedia("(max-width: 560px)").matches) input.placeholder = "Search";
  const find = debounce(() => {
    const text = input.value.trim();
    const isPlace = column("ra") && POSITION.test(text);
    const filter = isPlace ? { cone: { position: text, radius: "60" } } : { search: text };
    setFilter("search", text ? [filter] : []);
  }, 250);
  const draw = () => {
    const filter = /** @type {any} */ (state.filters.search?.[0]);
    const text = filter?.search ?? filter?.cone?.position ?? "";
    if (input.value.trim() !== text && document.activeElement !== input) input.value = text;
    if (!text && !state.filters.search && document.activeElement !== input) input.value = "";
  };
  input.addEventListener("input", find);
  input.addEventListener("keydown", (event) => event.key === "Enter" && focusTable());
  watch(["filters"], draw);
  draw();
}

/** On a narrow screen the filters lie over the page. */
function buildFilterDrawer() {
  const button = byId("filters-button");
  const show = (/** @type {boolean} */ open) => {
    document.body.classList.toggle("with-filters", open);
    button.setAttribute("aria-expanded", String(open));
    if (open) /** @type {HTMLElement|null} */ (byId("filters").querySelector("button, input"))?.focus();
  };
  button.onclick = () => show(!document.body.classList.contains("with-filters"));
  byId("centre").addEventListener("pointerdown", () => show(false));
  byId("filters").addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !document.body.classList.contains("with-filters")) return;
    event.stopPropagation();
    show(false);
    button.focus();
  });
}

/** The height of the diagrams, by pointer or arrow keys. */
function buildSplitter() {
  const splitter = byId("splitter");
  const resize = (/** @type {number} */ height) => {
    const limited = Math.min(Math.max(height, 90), innerHeight - 260);
    byId("centre").style.setProperty("--diagrams", `${limited}px`);
    localStorage.setItem("diagrams", String(limited));
    tell(limited);
  };
  const height = () => byId("diagrams").clientHeight;
  const tell = (/** @type {number} */ now) => {
    const values = { now, min: 90, max: innerHeight - 260 };
    for (const [name, value] of Object.entries(values)) splitter.setAttribute(`aria-value${name}`, String(Math.round(value)));
  };
  const stored = Number(localStorage.getItem("diagrams"));
  if (stored) resize(stored);
  else tell(height());
  splitter.addEventListener("pointerdown", (event) => {
    splitter.setPointerCapture(event.pointerId);
    const [start, from] = [event.clientY, height()];
    const drag = (/** @type {PointerEvent} */ at) => resize(from + at.clientY - start);
    splitter.addEventListener("pointermove", drag);
    splitter.addEventListener("pointerup", () => splitter.removeEventListener("pointermove", drag), { once: true });
  });
  splitter.addEventListener("keydown", (event) => {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") resize(height() + (event.key === "ArrowUp" ? -24 : 24));
  });
}

/** @param {number} rows of the catalog */
function buildTable(rows) {
  const title = byId("table-title");
  const show = (/** @type {Element|null} */ state) => {
    byId("table").querySelector(".scroller > .empty")?.remove();
    if (state) byId("table").querySelector(".scroller")?.append(state);
  };
  const failed = (/** @type {Error} */ error) => {
    const again = h("button", { type: "button", onclick: () => reportErrors(() => table.reload()) }, "Try again");
    const state = emptyState("Query failed", error.message);
    state.append(again);
    return state;
  };
  const table = new Table(byId("table"), (total, seconds, failure) => {
    byId("table").classList.toggle("failed", total === null);
    title.textContent = total === null ? "Query failed" : tally(total, rows);
    title.title = `query took ${Math.round(seconds * 1000)} ms`;
    if (total === null) show(failed(/** @type {Error} */ (failure)));
    else if (total) show(null);
    else if (rows) show(emptyState("No object matches the filters", "Remove a filter above, or clear them all."));
    else show(emptyState("The catalog is empty"));
  });
  labels.watchMany(() => reportErrors(() => table.reload(true)));
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "columns", "aria-label": "Columns" }));
  document.body.append(dialog);
  fill(
    byId("table-tools"),
    h("button", { type: "button", onclick: () => chooseColumns(dialog) }, "Columns"),
    selectionMenu(() => table.total),
    exportMenu(),
  );
  return table;
}

/** @param {Table} table @param {ObjectView} object */
function buildKeys(table, object) {
  const withObject = (/** @type {() => void} */ run) => () =>
    object.object ? run() : showMessage("Open an object first: Enter, or click on a row.");
  const next = () =>
    reportErrors(async () => (await table.nextUnlabelled()) || showMessage("No unlabelled object further down."));
  const undo = () => reportErrors(() => labels.undo());
  const digits = [..."123456789"];
  addKeys([
    { keys: ["j"], about: "next object", run: () => table.move(1) },
    { keys: ["k"], about: "previous object", run: () => table.move(-1) },
    {
      keys: ["Enter"],
      about: "open the object",
      run: async () => {
        await table.choose(Math.max(table.current, 0), true);
        object.focus();
      },
    },
    { keys: ["Escape"], shown: "Esc", about: "close the object, leave a field", run: escape },
    { keys: ["/"], about: "search", run: () => byId("search").focus() },
    {
      keys: digits,
      shown: "1 … 9",
      about: "label with this class",
      run: (event) => withObject(() => object.labelBar.chooseByDigit(Number(event.key)))(),
    },
    { keys: ["u"], about: "undo the last label or comment", run: undo },
    { keys: ["c"], about: "comment", run: withObject(() => object.labelBar.comment.focus()) },
    { keys: ["n"], about: "next object without a label", run: next },
    {
      keys: ["f"],
      about: "fold at the catalog's period; again: at the highest peak",
      run: withObject(() => object.fold()),
    },
    { keys: ["h"], about: "P/2, P, 2P, 3P in turn", run: withObject(() => object.curves.folder.nextMultiple()) },
    { keys: ["?"], about: "this help", run: openHelp },
  ]);
}

function focusTable() {
  /** @type {HTMLElement|null} */ (byId("table").querySelector("[role=grid]"))?.focus();
}

/** Leave a field for what it belongs to; else close the object. */
function escape() {
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  if (!/^(INPUT|TEXTAREA|SELECT)$/.test(focused.tagName)) set({ open: null });
  else if (byId("object").contains(focused)) byId("object").querySelector("h2")?.focus();
  else focusTable();
}

async function start() {
  buildTheme();
  readHash();
  const about = await api.about();
  labels.about = about.labels ?? labels.about;
  setClasses(about.classes);
  setColumns(about.columns, about.novel);
  setTitles(about.diagrams);
  drawHeader(about);
  buildSearch();
  buildSplitter();
  buildFilterDrawer();
  const table = buildTable(about.rows);
  const first = table.reload();
  buildFilters(byId("filters"));
  buildDiagrams(byId("diagrams-bar"), byId("diagrams"), about);
  const object = new ObjectView(byId("object"), about, (step) => table.move(step), focusTable);
  buildKeys(table, object);
  buildViews(about.alerts);
  startSamp(about.samp);
  byId("help-button").onclick = openHelp;
  /** @type {HTMLElement} */ (document.querySelector(".skip")).onclick = (event) => {
    event.preventDefault(); // an address of its own would replace that of the view
    byId("table-title").focus();
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return; // another window, or an editor, may have changed labels meanwhile
    table.reload(true);
    if (object.object) reportErrors(() => labels.refresh(object.object.row, object.object.name));
  });
  labels.watchMany(() => object.object && reportErrors(() => labels.refresh(object.object.row, object.object.name)));
  await first;
  await Promise.all([object.show(), table.locate()]);
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  byId("table-title").textContent = "Can't show the catalog";
  byId("table").append(emptyState("", `${error.message} Reload the page to try again.`));
  showError(error);
});
