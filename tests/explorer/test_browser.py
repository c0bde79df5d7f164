"""The page in a real browser: one server, one Chromium, a small catalog with the package's own light curves."""

import csv
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest

from goodricke.data.examples import example_files
from goodricke.data.lightcurves import LightCurves
from tests.making import predictions_of

pytest.importorskip("fastapi", reason="the explorer's extra isn't installed")
uvicorn = pytest.importorskip("uvicorn", reason="the explorer's extra isn't installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium isn't installed")

from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from goodricke.explorer import embedding_map  # noqa: E402
from goodricke.explorer.app import STATIC, create_app  # noqa: E402
from goodricke.explorer.session import open_explorer  # noqa: E402
from goodricke.service.server import listen  # noqa: E402

CLASSES = ("ECL", "MIRA", "RRAB")
ROWS = 400
PERIOD = 0.7  # [d] of the period that a test types
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-dev-shm-usage", "--window-size=1440,900"),
    "--force-prefers-reduced-motion",  # colours on the way from one to another are neither
)


def catalog(path: Path, stars: LightCurves) -> Path:
    """Write a catalog of made-up classes: those whose light curves are in the package, and others."""
    rng = np.random.default_rng(0)
    ids = [*stars.ids, *(f"S{i:04d}" for i in range(ROWS - len(stars)))]
    label = np.arange(ROWS) % 3
    p = 0.6 * np.eye(3)[label] + 0.4 * rng.dirichlet(np.ones(3), ROWS)
    embedding = 3 * np.eye(3)[label] + rng.normal(size=(ROWS, 3))
    more = pa.table(
        {"ra": rng.uniform(0, 360, ROWS), "dec": rng.uniform(-80, 80, ROWS), "f1": 10 ** rng.normal(size=ROWS)}
    )
    more = more.append_column("A1", pa.array(10 ** rng.normal(-1, 0.3, ROWS)))
    status = np.where(np.arange(ROWS) % 50 == 49, "TOO_FEW_POINTS", "OK")
    known = {
        "model": "variables",
        "spread": 0.1 * p,
        "prediction_set": p > 0.2,
        "embedding": embedding,
        "objects": more,
    }
    predictions_of(ids, status, CLASSES, p, np.full(ROWS, 99), **known).write(path)
    return path


def sexagesimal(ra: float, dec: float) -> str:
    """Return a position as `05 35 17.3 -05 23 28`."""
    parts = []
    for value, digits in ((ra / 15, 1), (abs(dec), 0)):
        seconds = round(value * 3600, digits)
        parts.append(f"{seconds // 3600:02.0f} {seconds // 60 % 60:02.0f} {seconds % 60:0{3 * (digits > 0)}.{digits}f}")
    return f"{parts[0]} {'-' if dec < 0 else '+'}{parts[1]}"


def flat_map(self: embedding_map.EmbeddingMap) -> embedding_map.MapPoints:
    """Return two of the embedding's dimensions at once, where the real map takes a minute."""
    rows = self._rows()
    xy = embedding_map.read_embeddings(self._catalog, rows)[:, :2].astype(np.float64)
    return embedding_map.MapPoints(rows, xy, "test")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels") / "labels.csv"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, stars: LightCurves, labels: Path) -> Iterator[str]:
    """Serve the explorer on a free port."""
    folder = tmp_path_factory.mktemp("explorer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(embedding_map.EmbeddingMap, "get", flat_map)
        shown = open_explorer(catalog(folder / "stars.parquet", stars), light_curves=example_files(), labels=labels)
        socket = listen("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(create_app(shown), log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{socket.getsockname()[1]}/"
        server.should_exit = True
        thread.join(10)
        socket.close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a browser without a window, with a profile of its own."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no chromium and chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    profile, files = tmp_path_factory.mktemp("profile"), tmp_path_factory.mktemp("downloads")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(files)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    browser.downloads = files
    yield browser
    browser.quit()


class Page:
    """The page as a user sees it."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address
        self.asked, self.refused = set[str](), ""

    def load(self, state: str = "") -> None:
        """Load the page anew in a state."""
        self.browser.get("about:blank")
        self.browser.get(f"{self.address}{state}")
        self.until(lambda: self.js("return document.documentElement.dataset.ready === 'yes'"), "the page is ready")

    def open(self, state: str = "") -> None:
        """Bring the page into a state as the browser's back button does: few tests need a load, of a second."""
        self.refused = ""
        self.js("document.activeElement.blur(); document.querySelector('.scroller').scrollTop = 0")
        self.js("history.pushState(null, '', arguments[0]); dispatchEvent(new Event('popstate'))", state or "#")
        self.until(lambda: not self.all(".scroller[aria-busy]"), "the table is there")

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def until(self, true: Callable[[], Any], what: str = "") -> Any:
        patient = WebDriverWait(self.browser, 60, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return patient.until(lambda _: true(), what)

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.until(lambda: next(iter(self.all(selector)), None), selector)

    def text(self, selector: str) -> str:
        return self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def column(self, name: str) -> list[str]:
        """Return the texts of a column of the rows in view, from top to bottom."""
        script = """
            const heads = [...document.querySelectorAll('.head .cell .name')].map((one) => one.textContent);
            const rows = [...document.querySelectorAll('.window .row')];
            rows.sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'));
            return rows.map((row) => row.children[heads.indexOf(arguments[0])]?.textContent);"""
        return self.js(script, name)

    def click(self, selector: str) -> None:
        """Click on something that may just be drawn anew."""
        self.until(lambda: self.one(selector).click() or True, selector)

    def focused(self) -> str:
        """Return what has the focus: its name, or its text."""
        return self.js("const e = document.activeElement; return e.getAttribute('aria-label') ?? e.textContent.trim()")

    def resize(self, width: int, height: int = 844) -> None:
        """Give the page the size of a screen; below 900 pixels that of a phone, with a finger as its pointer."""
        touch = width < 900
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})

    def total(self, text: str) -> None:
        self.until(lambda: self.text("#table-title") == text, f"{text}, not {self.text('#table-title')}")


@pytest.fixture(scope="module")
def loaded(chromium: Any, address: str) -> Iterator[Page]:
    """Return the page, loaded; in all the tests it must have asked nobody but its own server."""
    page = Page(chromium, address)
    chromium.get_log("performance")  # the browser's own first page
    page.load()
    yield page
    assert any(url.endswith("/api/about") for url in page.asked)
    assert [url for url in page.asked if not url.startswith((address, "blob:", "data:", "about:", "chrome:"))] == []


@pytest.fixture
def page(loaded: Page) -> Iterator[Page]:
    """Return the page with nothing filtered and nothing open; the console must stay empty."""
    loaded.open()
    yield loaded
    events = [json.loads(entry["message"])["message"] for entry in loaded.browser.get_log("performance")]
    loaded.asked |= {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    errors = [entry["message"] for entry in loaded.browser.get_log("browser")]
    # the browser itself notes each refusal: of an object without a light curve, and what a test provokes
    expected = ("light_curve?", loaded.refused or "light_curve?")
    assert [words for words in errors if not ("status of 4" in words and any(e in words for e in expected))] == []


def rows_of(labels: Path) -> dict[str, dict[str, str]]:
    with labels.open(newline="") as file:
        return {row["object_id"]: row for row in csv.DictReader(file)}


# ---- the catalog ----------------------------------------------------------------------------------------------------


def test_shows_the_catalog(page: Page) -> None:
    page.total("400 objects")
    assert page.text("#title") == "stars.parquet"
    assert len(page.all(".window .row")) < 60  # of 400: only those in view exist
    names = [figure.get_attribute("data-diagram") for figure in page.all("figure.diagram")]
    assert names == ["embedding", "f1_a1", "equatorial"]
    assert "Gaia" in page.text(".missing:not(.plot-form)")


def test_filters_by_class_and_the_chip_takes_it_back(page: Page) -> None:
    page.click("#filters [aria-label^='MIRA:']")
    page.until(lambda: set(page.column("class")) == {"MIRA"})
    assert page.text("#table-title").endswith("of 400 objects")
    assert "values" in page.js("return location.hash")
    page.one("#chips .chip .remove").click()
    page.total("400 objects")


def test_draws_a_range_on_a_histogram(page: Page) -> None:
    plot = page.one(".range .histogram")
    width = plot.size["width"]
    ActionChains(page.browser).move_to_element(plot).click_and_hold().move_by_offset(
        width // 2 - 1, 0
    ).release().perform()
    page.until(lambda: page.all("#chips .chip"))
    low = float(page.until(lambda: page.one("input[aria-label='p_max at least']").get_attribute("value")))
    page.until(lambda: (shown := page.column("p_max")) and min(map(float, shown)) >= low - 5e-4)


def test_sorts_by_a_column_both_ways(page: Page) -> None:
    head = ".head .cell.number button[title^='p_max']"
    for direction in ("descending", "ascending"):
        page.one(head).click()
        page.until(lambda d=direction: page.all(f".head [aria-sort='{d}']"))
        page.until(lambda: page.js("return !document.querySelector('.scroller').hasAttribute('aria-busy')"))
        shown = [float(p) for p in page.column("p_max") if p not in ("–", "")]
        assert shown == sorted(shown, reverse=direction == "descending")


def test_searches(page: Page) -> None:
    page.press("/", *"S0007")
    page.total("1 of 400 objects")
    assert page.column("object_id") == ["S0007"]


@pytest.mark.parametrize("write", [lambda ra, dec: f"{ra:.5f} {dec:+.5f}", lambda ra, dec: sexagesimal(ra, dec)])
def test_searches_a_position(page: Page, write: Callable[[float, float], str]) -> None:
    row = page.js("return fetch('api/rows/20').then((answer) => answer.json())")["fields"]
    page.press("/", *write(row["ra"], row["dec"]))
    page.total("1 of 400 objects")
    assert page.column("object_id") == [row["object_id"]]
    assert page.text("#chips").startswith("within 60″ of")
    page.load(page.js("return location.hash"))
    page.total("1 of 400 objects")
    assert page.one("#search").get_attribute("value") == write(row["ra"], row["dec"])


def test_the_skip_link_keeps_the_filters(page: Page) -> None:
    page.click("#filters [aria-label^='MIRA:']")
    page.until(lambda: set(page.column("class")) == {"MIRA"})
    state, total = page.js("return location.hash"), page.text("#table-title")
    page.one("a.skip").send_keys(Keys.ENTER)
    page.until(lambda: page.js("return document.activeElement.id") == "table-title")
    assert page.js("return location.hash") == state
    page.js("location.hash = 'table-title'")  # an anchor is no state
    assert page.text("#table-title") == total
    page.js("history.replaceState(null, '', '#')")


def test_headers_have_units(page: Page) -> None:
    script = """return Object.fromEntries([...document.querySelectorAll('.head .cell')].map(
        (cell) => [cell.querySelector('.name').textContent, cell.querySelector('.unit')?.textContent ?? '']))"""
    units = page.js(script)
    assert {name: units[name] for name in ("ra", "f1", "class", "p_max")} == {
        "ra": "[deg]",
        "f1": "[1/d]",
        "class": "",
        "p_max": "",
    }


def test_scrolls_to_the_last_row(page: Page) -> None:
    page.one(".scroller").send_keys(Keys.END)
    page.until(lambda: page.column("object_id")[-1:] == ["S0387"])


def test_chooses_columns(page: Page) -> None:
    page.one("#table-tools button").click()
    page.one("dialog.columns [data-name='entropy'] input").click()
    page.press(Keys.ESCAPE)
    page.until(lambda: all(page.column("entropy")[:3]))


def test_a_lasso_filters_the_table_and_stays_after_a_reload(page: Page) -> None:
    canvas = page.one("figure[data-diagram='equatorial'] canvas")
    across = canvas.size["width"] // 3
    chain = ActionChains(page.browser, duration=20).move_to_element(canvas).click_and_hold()
    for step in ((across, 0), (0, 60), (-across, 0)):
        chain = chain.move_by_offset(*step)
    chain.release().perform()
    page.until(lambda: page.text("#chips").startswith("lasso in Sky, equatorial"))
    page.until(lambda: page.text("#table-title").endswith("of 400 objects"))
    total = page.text("#table-title")
    assert 0 < int(total.split()[0]) < 200
    page.load(page.js("return location.hash"))
    page.total(total)


def test_draws_any_columns_and_keeps_them_in_the_address(page: Page) -> None:
    page.one(".plot-form summary").click()
    for name, text in (("x", "ra / 15"), ("y", "log10(A1)"), ("colour", "f1"), ("size", "p_max"), ("x_to", "12")):
        page.one(f".plot-form input[name='{name}']").send_keys(text)
    page.one(".plot-form input[name='reversed_y']").click()
    page.one(".plot-form button").click()
    own = "figure[data-diagram^='plot:']"
    page.until(lambda: page.all(f"{own} canvas"))
    assert page.text(f"{own} strong") == "log10(A1) against ra / 15"
    page.until(lambda: page.text(f"{own} .diagram-legend").startswith("f1 [1/d]"))
    assert "of 400" in page.text(f"{own} .note")  # up to x = 12
    page.one(f"{own} .steps button:last-child").click()  # a legend filters
    page.until(lambda: "<= f1" in page.text("#chips"))
    page.one("#chips .chip .remove").click()
    page.load(page.js("return location.hash"))
    page.until(lambda: page.all(f"{own} canvas"))
    assert page.all("figure.diagram")[-1].is_displayed()
    page.one(f"{own} [aria-label^='Remove']").click()
    page.until(lambda: not page.all(own))
    assert "plots" not in page.js("return location.hash")


def test_chooses_diagrams_and_a_cell_of_the_confusion_filters(page: Page) -> None:
    for name in ("Embeddings", "Confusion", "Sky, galactic"):
        next(one for one in page.all("#diagrams-bar [aria-pressed]") if one.text == name).click()
    matrix = "figure[data-diagram='confusion']"
    page.until(lambda: page.all(f"{matrix} .empty, {matrix} td button"))
    names = [figure.get_attribute("data-diagram") for figure in page.all("figure.diagram")]
    assert names == ["f1_a1", "equatorial", "galactic", "confusion"]
    page.js(AGAINST_STATUS)
    page.until(lambda: page.all(f"{matrix} td button")).pop(0).click()
    page.until(lambda: page.text("#chips").startswith("class = "))
    assert "status = OK" in page.text("#chips")


def test_filters_join_and_the_selection_is_labelled(page: Page, labels: Path) -> None:
    page.one("[aria-label='Filter as text']").send_keys('matches(object_id, "^S000[78]$")', Keys.ENTER)
    page.total("2 of 400 objects")
    page.one("[aria-label='Position or object']").send_keys("S0010")
    page.one("[aria-label='Radius']").send_keys("1", Keys.ENTER)
    page.total("0 of 400 objects")
    page.one("#chips [role='radio']:last-child").click()  # or
    page.total("3 of 400 objects")
    state = page.js("return location.hash")
    page.one("#table-tools .menu summary").click()
    page.one("[aria-label='Label for the whole selection']").send_keys("ODD", Keys.ENTER)
    page.until(lambda: page.column("label")[:3] == ["ODD"] * 3)
    assert [name for name, row in rows_of(labels).items() if row["label"] == "ODD"] == ["S0007", "S0008", "S0010"]
    page.press("u")
    page.until(lambda: "S0007" not in rows_of(labels))
    page.one("#table-tools .menu summary").click()
    page.one("[aria-label='Name of the subset']").send_keys("three", Keys.ENTER)
    page.until(lambda: "subset three" in page.text("#messages"))
    page.open()
    page.one("#table-tools .menu summary").click()
    page.one(".subsets button").click()
    page.total("3 of 400 objects")
    page.one("#chips [title^='Take the opposite']").click()
    page.total("397 of 400 objects")
    page.one(".chip .what").click()
    page.open(state)
    page.total("3 of 400 objects")


def test_a_formula_that_is_none_says_so(page: Page) -> None:
    page.refused = "diagrams"
    name = quote(json.dumps(['plot:{"x":"nothing","y":"ra"}']))
    page.open(f"#plots={name}")
    page.until(lambda: "'nothing' is no column" in page.text("figure[data-diagram^='plot:']"))
    page.open()
    page.until(lambda: not page.all("figure[data-diagram^='plot:']"))
    page.refused = "diagrams"


def test_exports_the_selection(page: Page) -> None:
    page.press("/", *"S0007")
    page.total("1 of 400 objects")
    page.all("#table-tools summary")[-1].click()
    next(one for one in page.all(".menu .items button") if one.text == "CSV").click()
    written = page.until(lambda: list(page.browser.downloads.glob("*.csv")))
    assert "S0007" in written[0].read_text()


# ---- one object -----------------------------------------------------------------------------------------------------


def test_opens_an_object_and_folds_it(page: Page, stars: LightCurves) -> None:
    page.press("j", Keys.ENTER)
    page.until(lambda: page.text(".object-title h2") == stars.ids[0])
    page.until(lambda: page.text(".curves .readout") == f"{stars.offsets[1]:,} points", "the light curve")
    page.until(lambda: page.all(".peaks button"))
    period = page.one("#period")
    page.js("arguments[0].value = ''", period)
    period.send_keys(str(PERIOD), Keys.ENTER)
    page.js("document.activeElement.blur()")
    page.press("h")
    assert float(period.get_attribute("value")) == pytest.approx(2 * PERIOD)
    page.all(".fold-controls .segments button")[0].click()
    assert float(period.get_attribute("value")) == pytest.approx(PERIOD / 2)
    page.all(".peaks button")[1].click()
    assert float(period.get_attribute("value")) != pytest.approx(PERIOD / 2)
    page.press("f")
    assert page.js("return document.activeElement.type") == "range"
    before = float(period.get_attribute("value"))
    page.press(Keys.ARROW_RIGHT)
    assert 0 < before - float(period.get_attribute("value")) < 0.01 * before


def test_the_phases_are_those_of_the_formula(page: Page) -> None:
    time, t0 = [2451000.25, 2451001.0, 2450999.0], 2451000.0
    script = (
        "return import('./static/fold.js').then((fold) => [...fold.phases(arguments[0], arguments[1], arguments[2])])"
    )
    phases = page.browser.execute_script(script, time, PERIOD, t0)
    assert phases == pytest.approx((np.array(time) - t0) / PERIOD % 1)
    period = page.js("return import('./static/fold.js').then((fold) => fold.tunePeriod(0.5, 1, 100))")
    assert 100 / period == pytest.approx(100 / 0.5 + 5)  # five cycles more over the hundred days


@pytest.mark.parametrize(
    ("bands", "unit", "magnitudes", "label"),
    [
        (["V"], "mag", True, "V [mag]"),
        (["g", "r"], "nJy", False, "g, r [nJy]"),
        (["none"], "mag", True, "magnitude [mag]"),
        (["none"], "unknown", False, "flux"),
        (list("ugrizy"), "mag", True, "magnitude [mag]"),
    ],
)
def test_axes_name_bands_and_units(page: Page, bands: list[str], unit: str, magnitudes: bool, label: str) -> None:
    curve = {"bands": bands, "unit": unit, "magnitudes": magnitudes}
    script = "return import('./static/light_curve.js').then(({ valueLabel }) => valueLabel(arguments[0]))"
    assert page.js(script, curve) == label


def test_neighbours_open_with_a_click(page: Page) -> None:
    page.open("#open=3")
    first = "const b = document.querySelector('.neighbours button');"
    click = f"{first} b?.click(); return b?.querySelector('.who').textContent"
    name = page.until(lambda: page.js(click))  # in one go: the page may still be putting them there
    page.until(lambda: page.text(".object-title h2") == name)
    page.browser.back()
    page.until(lambda: page.js("return location.hash") == "#open=3")
    page.until(lambda: page.text(".object-title h2") != name)


def test_the_table_goes_to_an_object_opened_elsewhere(page: Page) -> None:
    page.open('#open=300&sort=[{"column":"p_max","descending":false}]')
    page.until(lambda: page.all(".row.open.current"), "it is the current row, and in view")
    name = page.text(".object-title h2")
    page.press("j")
    page.until(lambda: page.text(".object-title h2") not in ("", name))
    assert page.column("object_id").index(page.text(".object-title h2")) == page.column("object_id").index(name) + 1


def test_an_object_without_a_light_curve_says_so(page: Page) -> None:
    page.open("#open=100")
    page.until(lambda: "No light curve" in page.text(".curves"))


# ---- labels ---------------------------------------------------------------------------------------------------------


def test_labels_by_keyboard_and_they_are_there_after_a_reload(page: Page, labels: Path, stars: LightCurves) -> None:
    page.open("#open=0")
    page.until(lambda: page.text(".object-title h2") == stars.ids[0])
    page.press("2")
    page.until(lambda: "saved" in page.text(".saved"))
    assert "Saved" in page.text("#messages")
    page.press("c", *"nice", Keys.ENTER)
    page.until(lambda: rows_of(labels)[stars.ids[0]]["comment"] == "nice")
    assert rows_of(labels)[stars.ids[0]]["label"] == "MIRA"
    page.load()
    assert page.column("label")[0] == "MIRA"


def test_undoes_a_label(page: Page, labels: Path, stars: LightCurves) -> None:
    page.open("#open=1")
    page.until(lambda: page.text(".object-title h2") == stars.ids[1])
    page.press("1")
    page.until(lambda: rows_of(labels).get(stars.ids[1], {}).get("label") == "ECL")
    shutil.copy(labels, kept := labels.with_name("another-window.csv"))
    kept.write_text(kept.read_text().replace(f"{stars.ids[1]},ECL,,", f"{stars.ids[1]},ECL,theirs,"))
    kept.replace(labels)
    page.press("u")
    page.until(lambda: rows_of(labels)[stars.ids[1]]["label"] == "")
    assert rows_of(labels)[stars.ids[1]]["comment"] == "theirs"  # what another window wrote stays
    page.until(lambda: page.one("#comment").get_attribute("value") == "theirs")
    page.press("c")
    page.one("#comment").send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE, Keys.ENTER)
    page.until(lambda: stars.ids[1] not in rows_of(labels) and not page.column("label")[1].strip("–"))


def test_goes_to_the_next_without_a_label(page: Page, stars: LightCurves) -> None:
    page.load()
    page.press("n")
    unlabelled = next(k for k, label in enumerate(page.column("label")) if not label.strip("–"))
    page.until(lambda: page.text(".object-title h2") == stars.ids[unlabelled])
    page.press("n")
    page.until(lambda: page.text(".object-title h2") == stars.ids[unlabelled + 1])


# ---- the page -------------------------------------------------------------------------------------------------------


def test_help_tells_the_keys_and_escape_closes_it(page: Page) -> None:
    page.press("?")
    keys = page.text("#help .keys")
    assert all(word in keys for word in ("next object", "undo", "fold", "search"))
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.all("dialog[open]"))


def test_a_mistyped_link_shows_the_catalog(page: Page) -> None:
    page.load("#filters=[1]&sort=7&open=%22x%22&view=%22nothing%22&columns={")
    page.total("400 objects")


def test_a_refusal_is_shown_in_the_server_s_words(page: Page, address: str) -> None:
    refused = {"if:x =": [{"column": "no_such", "op": "=", "value": 1}]}
    page.refused = ""
    page.open(f"#filters={json.dumps(refused)}")
    page.refused = "/api/"
    page.until(lambda: "no_such" in page.text("#messages .error"))
    page.one("#chips .chip .remove").click()
    page.total("400 objects")


def test_light_and_dark(page: Page) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    seen = {page.js(ground)}
    page.one("#theme").click()
    seen.add(page.js(ground))
    assert len(seen) == 2
    page.load()  # remembered
    chosen = page.js(ground)
    page.one("#theme").click()
    assert page.js(ground) in seen - {chosen}


def test_everything_that_acts_has_a_name(page: Page) -> None:
    page.open("#open=0")
    page.until(lambda: page.all(".peaks button"))
    script = """
        const said = (one) => one.getAttribute('aria-label') || one.textContent || one.labels?.[0]?.textContent || '';
        const acting = [...document.querySelectorAll('button, input, select, canvas, a')];
        return acting.filter((one) => !said(one).trim()).map((one) => one.outerHTML);"""
    assert page.js(script) == []


@pytest.fixture
def narrow(page: Page) -> Iterator[Page]:
    """Return the page on the screen of a phone."""
    page.resize(390)
    page.load()
    yield page
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.load()


BOTH = {"values:class": [{"column": "class", "op": "in", "value": ["MIRA"]}], "search": [{"search": "S"}]}
VIEWS = {
    "table": f"#filters={quote(json.dumps(BOTH))}",
    "object": "#open=0&compare=1",
    "diagrams": f"#shown={quote(json.dumps(['confusion', 'galactic', 'embedding']))}",
}
NAMES = """
    const words = (text) => text.toLowerCase().match(/[\\p{L}\\d]{2,}/gu) ?? [];
    const read = (one) => {
        const texts = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
        return [...(function* () { while (texts.nextNode()) yield texts.currentNode.data; })()].join(' ');
    };
    const shown = [...document.querySelectorAll('button, summary, input, select, textarea, [role=separator]')]
        .filter((one) => one.checkVisibility());
    const faults = [];
    for (const one of shown) {
        const label = one.getAttribute('aria-label');
        const fault = (what) => faults.push([what, one.outerHTML]);
        if (one.matches('input, select, textarea') && !label && !one.labels.length) fault('no label');
        if (label && !one.matches('select') && !words(read(one)).every((word) => words(label).includes(word)))
            fault('another name than is read');
        if (one.matches('[role=radio]') && !one.closest('[role=radiogroup]')) fault('no group');
        if (one.matches('[role=separator]:not([aria-valuenow])')) fault('no value');
    }
    let level = 0;
    for (const head of document.querySelectorAll('h1, h2, h3')) {
        if (!head.checkVisibility() || head.closest('dialog')) continue;
        const next = Number(head.tagName[1]);
        if (next > level + 1) faults.push(['a level is missing', head.outerHTML]);
        level = next;
    }
    return faults;"""
CONTRAST = """
    const ctx = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const parse = (colour) => {
        ctx.clearRect(0, 0, 1, 1);
        ctx.fillStyle = colour;
        ctx.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = ctx.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] + below[k] * (1 - top[3]));
    const ground = (one) => {
        const layers = [];
        for (let at = one; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faults = [];
    for (const one of document.querySelectorAll('body *')) {
        const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || !one.checkVisibility() || one.disabled || one.closest('noscript')) continue;
        let alpha = 1;
        for (let at = one; at; at = at.parentElement) alpha *= Number(getComputedStyle(at).opacity);
        const below = ground(one);
        const text = parse(getComputedStyle(one).color);
        text[3] *= alpha;
        const [a, b] = [light(over(text, below)), light(below)].sort();
        const ratio = (b + 0.05) / (a + 0.05);
        if (ratio < 4.5) faults.push([ratio.toFixed(2), one.outerHTML.slice(0, 150)]);
    }
    return faults;"""
OUTSIDE = """
    const scrolls = (one) => {
        for (let at = one.parentElement; at; at = at.parentElement)
            if (getComputedStyle(at).overflowX !== 'visible' && at.clientWidth < at.scrollWidth) return true;
        return false;
    };
    const wide = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
    const parts = document.querySelectorAll('button, input, select, textarea, summary, canvas, h2, h3');
    const out = [...parts].filter((one) => {
        const box = one.getBoundingClientRect();
        return one.checkVisibility() && box.width && (box.right > innerWidth + 1 || box.left < -1) && !scrolls(one);
    });
    return [...wide, ...out.map((one) => one.outerHTML.slice(0, 150))];"""
AGAINST_STATUS = """
    const select = document.querySelector("figure[data-diagram='confusion'] select");
    select.value = 'status';
    select.dispatchEvent(new Event('change'));"""
SMALL = """
    return [...document.querySelectorAll('button, input:not([type=range], [type=checkbox]), select, summary')]
        .filter((one) => one.checkVisibility() && one.getBoundingClientRect().width && !one.closest('.steps'))
        .filter((one) => Math.min(one.getBoundingClientRect().width, one.getBoundingClientRect().height) < 24)
        .map((one) => one.outerHTML.slice(0, 150));"""


def settle(page: Page) -> None:
    """Wait until nothing is being loaded."""
    page.until(lambda: not page.all("[aria-busy]"), "all is there")


@pytest.mark.parametrize("view", VIEWS)
def test_names_and_contrast(page: Page, view: str) -> None:
    for _ in range(2):
        page.open(VIEWS[view])
        settle(page)
        if view == "diagrams":
            page.until(lambda: page.all(".matrix td button, .matrix .empty"))
            page.js(AGAINST_STATUS)
            page.until(lambda: page.all(".matrix td button"))
            settle(page)
        assert page.js(NAMES) == []
        assert page.js(CONTRAST) == []
        page.one("#theme").click()  # dark, then light again


@pytest.mark.parametrize("width", [390, 800, 1024, 1440])
def test_nothing_sticks_out(page: Page, width: int) -> None:
    try:
        page.resize(width)
        page.load()
        for state in VIEWS.values():
            page.open(state)
            settle(page)
            assert page.js(OUTSIDE) == []
            assert width > 900 or page.js(SMALL) == []
        page.open()
        page.js("scrollTo(0, 0)")
        page.one(".plot-form summary").click()
        assert page.js(OUTSIDE) == []
        page.press(Keys.ESCAPE)
        page.one("#table-tools .menu summary").click()
        assert page.js(OUTSIDE) == []
        page.press(Keys.ESCAPE)
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        page.load()


def test_the_focus_follows_what_opens_and_goes_back(page: Page, stars: LightCurves) -> None:
    grid = page.one(".scroller")
    grid.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    page.until(lambda: page.focused() == stars.ids[0], "the name of the object")
    page.press("j")
    page.until(lambda: page.focused() == stars.ids[1], "the next name")
    page.press(Keys.TAB, Keys.TAB, Keys.TAB)
    assert page.focused() == "Next object (j)"
    page.press(Keys.ENTER)
    page.until(lambda: page.text(".object-title h2") == stars.ids[2])
    assert page.focused() == "Next object (j)"  # drawn anew, and still there
    page.press("c", "x", Keys.ESCAPE)
    assert page.focused() == stars.ids[2]
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.one("#object").is_displayed())
    assert page.focused() == "Objects"
    for summary in (".plot-form summary", "#table-tools .menu summary"):
        menu = page.one(summary)
        menu.send_keys(Keys.ENTER)
        page.press(Keys.TAB)
        assert page.js("return document.activeElement.tagName") == "INPUT"
        page.press(Keys.ESCAPE)
        assert page.js("return document.activeElement === arguments[0] && !arguments[0].parentElement.open", menu)
    page.one("#table-tools button").send_keys(Keys.ENTER)
    page.until(lambda: page.focused() == "Find a column")
    page.press(Keys.ESCAPE)
    page.until(lambda: page.focused() == "Columns")


def test_the_focus_stays_where_parts_are_drawn_anew(page: Page) -> None:
    settle(page)
    page.one("#filters [aria-label^='MIRA:']").send_keys(Keys.ENTER)
    page.until(lambda: page.all("#chips .chip"))
    settle(page)
    assert page.focused().startswith("MIRA:")
    page.one("#diagrams-bar [aria-pressed='false']").send_keys(Keys.ENTER)
    assert page.js("return document.activeElement.getAttribute('aria-pressed')") == "true"
    page.one("#chips .remove").send_keys(Keys.ENTER)
    page.until(lambda: not page.all("#chips .chip"))
    assert page.js("return document.activeElement.id") == "table-title"


def test_tab_goes_through_the_page_with_a_ring(page: Page) -> None:
    page.load()
    script = """
        const one = document.activeElement;
        const ring = one.matches('.scroller')
            ? getComputedStyle(one.parentElement, '::after').borderTopWidth
            : getComputedStyle(one).outlineWidth;
        return [one.closest('[id]')?.id ?? '', parseFloat(ring)];"""
    places: list[str] = []
    for _ in range(120):
        page.press(Keys.TAB)
        place, ring = page.js(script)
        assert ring >= 1.5, page.js("return document.activeElement.outerHTML")
        places += [place] if place not in places else []
        if place == "table":
            break
    assert places[:2] == ["", "search"]
    order = [
        places.index(one)
        for one in ("search", "theme", "filters", "diagrams-bar", "diagrams", "splitter", "table-tools", "table")
    ]
    assert order == sorted(order)


def test_a_phone_has_the_filters_and_the_object_over_the_page(narrow: Page, stars: LightCurves) -> None:
    page = narrow
    page.one("#filters-button").click()
    page.until(lambda: page.focused().endswith(("objects", "object")))
    page.press(Keys.ESCAPE)
    assert page.focused() == "Filters"
    assert not page.one("#filters").is_displayed()
    page.all(".window .row .cell")[0].click()
    page.until(lambda: page.focused() == stars.ids[0])
    assert page.js("return document.getElementById('centre').inert")  # what lies below can't be reached
    page.one(".object-title [aria-label='Close (Esc)']").click()
    page.until(lambda: page.focused() == "Objects")
    assert not page.js("return document.getElementById('centre').inert")


FETCH = """
    window.asIs ??= window.fetch;
    const [pattern, fails] = arguments;
    const instead = () => (fails ? Promise.reject(new TypeError('no network')) : new Promise(() => {}));
    window.fetch = (url, ...more) => (new RegExp(pattern).test(url) ? instead() : window.asIs(url, ...more));"""


def test_each_panel_says_that_it_loads_or_failed(page: Page) -> None:
    page.js(FETCH, "rows/0/", False)
    page.open("#open=0")
    for panel, words in ((".curves", "Loading the light curve"), ("#object", "Looking for the nearest")):
        page.until(lambda p=panel, w=words: w in page.text(p))
    page.open()
    page.js(FETCH, "rows/0/", True)
    page.open("#open=0")
    page.until(lambda: "No light curve" in page.text(".curves"))
    page.until(lambda: "No answer from the server" in page.text("#object .object-body"))
    page.open()
    page.js(FETCH, "api/(rows|counts|histogram|diagrams|crosstab)", True)
    page.js("history.pushState(null, '', arguments[0]); dispatchEvent(new Event('popstate'))", VIEWS["table"])
    page.until(lambda: "Query failed" in page.text("#table .empty"))
    assert "Query failed" in page.text("#table-title") + page.text(".facet")
    page.until(lambda: page.text(".range .ends") == "Query failed")
    assert not page.one(".window").is_displayed()  # rows of an earlier query
    page.js("window.fetch = window.asIs")
    next(one for one in page.all("#table button") if one.text == "Try again").click()
    page.until(lambda: page.text("#table-title").endswith("of 400 objects"))
    assert not page.all("#table .empty")
    filters = quote(json.dumps({"if:a": [{"column": "p_max", "op": ">", "value": 2}]}))
    page.open(f"#filters={filters}&shown={quote(json.dumps(['confusion']))}")
    page.until(lambda: "No object matches" in page.text("#table"))
    page.until(lambda: page.text(".range .ends") == "no values")
    page.until(lambda: "Nothing to compare" in page.text("figure"))
    page.until(lambda: page.text(".facet") == "none")


def test_saves_the_matrix_and_a_histogram(page: Page) -> None:
    page.open(VIEWS["diagrams"])
    for menu, name in (
        ("figure[data-diagram='confusion'] .menu", "class_against_"),
        (".range .menu", "histogram_of_p_max"),
    ):
        page.one(f"{menu} summary").click()
        next(one for one in page.all(f"{menu} button") if one.text == "SVG").click()
        [file] = page.until(lambda n=name: list(page.browser.downloads.glob(f"{n}*.svg")))
        assert "<svg" in file.read_text()


def test_light_curves_are_laid_over_each_other(page: Page) -> None:
    """The same transient, later, fainter, and with another band first, comes back to its place."""
    here = {
        "time": [0.0, 1, 2, 3],
        "value": [19.0, 18, 20, 17],
        "band": [0, 0, 0, 1],
        "bands": ["g", "r"],
        "magnitudes": True,
    }
    there = {
        "time": [50.0, 51, 52, 53],
        "value": [20.0, 19, 21, 18],
        "band": [1, 1, 1, 0],
        "bands": ["r", "g"],
        "magnitudes": True,
    }
    script = """
        const [here, there, atMaximum] = arguments;
        for (const one of [here, there]) for (const part of ['time', 'value']) one[part] = Float64Array.from(one[part]);
        return import('./static/light_curve.js').then(({ alignment }) => {
            const { days, value, text } = alignment(here, there, atMaximum);
            return [[...there.time].map((t) => t + days), [...there.value].map(value), text];
        });"""
    assert page.js(script, here, there, True) == [here["time"], here["value"], "−50 d, −1 mag"]
    assert page.js(script, here, there, False) == [there["time"], here["value"], "−1 mag"]
    times = there | {"magnitudes": False, "value": [2.0, 1, 4, 3]}
    flux = here | {"magnitudes": False, "value": [4.0, 2, 8, 6]}
    assert page.js(script, flux, times, True) == [here["time"], flux["value"], "−50 d, × 2"]


def test_nothing_in_the_page_names_another_host() -> None:
    sources = [path for path in STATIC.iterdir() if path.suffix in (".js", ".css", ".html")]
    assert len(sources) > 20
    for path in sources:
        words = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in words, path.name
        assert all(name not in words for name in ("innerHTML", "eval(", "new Function", "insertAdjacent")), path.name
