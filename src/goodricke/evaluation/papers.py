"""Scores as the papers printed them, to stand beside those measured here.

ASTRAFier (Gregory et al.): Tables 2 to 4 and 6, from the counts of right answers as printed. Becker et al.
(2025): Tables 5 to 7, medians over seven folds. Printed figures have no intervals, and their test stars aren't ours
unless the authors' own test files are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from goodricke.evaluation.scores import Scores

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from goodricke.evaluation.assessment import Assessment
    from goodricke.evaluation.sample import Sample


class PrintedClass(NamedTuple):
    """A row of a printed table: fractions, None where the paper has none."""

    recall: float | None
    precision: float | None
    f1: float


class PrintedTable(NamedTuple):
    """The scores of one network in a paper."""

    title: str
    classes: Mapping[str, PrintedClass]
    accuracy: float | None
    macro: PrintedClass


def _rows(table: str) -> dict[str, PrintedClass]:
    """Return the rows of a table of right / true / answered counts, as the ASTRAFier paper prints them."""
    rows = {}
    for line in table.strip().splitlines():
        name, *counts = line.split()
        right, true, answered = map(int, counts)
        recall, precision = right / true, right / answered
        rows[name] = PrintedClass(recall, precision, 2 * recall * precision / (recall + precision))
    return rows


KEPLER = """
APERIODIC 154 158 178
CONSTANT 190 190 192
CONTACT_ROT 398 430 424
DSCT_BCEP 141 146 152
ECLIPSE 185 185 188
GDOR_SPB 92 120 100
RRLYR_CEPH 8 12 10
SOLARLIKE 325 343 340
"""
TESS = """
APERIODIC 188 211 242
CONTACT_ROT 252 329 287
DSCT_BCEP 357 386 382
ECLIPSE 153 153 159
GDOR_SPB 174 231 196
INSTRUMENT/JUNK 271 291 333
RRLYR_CEPH 63 64 64
SOLARLIKE 161 194 196
"""
BOTH = """
APERIODIC 189 211 234
CONTACT_ROT 243 329 263
DSCT_BCEP 349 386 362
ECLIPSE 153 153 155
GDOR_SPB 198 231 237
INSTRUMENT/JUNK 266 291 316
RRLYR_CEPH 64 64 69
SOLARLIKE 178 194 223
"""
PAPER = "Gregory et al."
TABLES = {
    "astrafier-kepler": PrintedTable(
        f"{PAPER}, Table 2: Kepler", _rows(KEPLER), 0.9426, PrintedClass(0.9059, 0.9226, 0.9121)
    ),
    "astrafier-tess": PrintedTable(
        f"{PAPER}, Table 3: TESS", _rows(TESS), 0.8709, PrintedClass(0.8851, 0.8824, 0.8815)
    ),
    "astrafier-both": PrintedTable(
        f"{PAPER}, Table 4: TESS, trained on Kepler too", _rows(BOTH), 0.8822, PrintedClass(0.9034, 0.8857, 0.8920)
    ),
}
# Median F1 over seven folds: the multi-band model with and without regression (MTL), the balanced forest.
BECKER = {
    "gaia": ("Table 5: Gaia", 0.745, "RRAB .89 RRC .76 MIRA_SR 1.00 DSCT_SXPHE .70 CEP .71 T2CEP .53"),
    "ps1": ("Table 6: Pan-STARRS1", 0.588, "RRAB .78 RRC .75 RRD .06 MIRA_SR .95 DSCT_SXPHE .70 T2CEP .36"),
    "ztf": (
        "Table 7: ZTF",
        0.828,
        "AGN .63 Blazar .64 CV/Nova .81 E .93 LPV 1.00 QSO .90 RRL .94 SNIa .97 YSO .80",
    ),
}


def _becker(title: str, recall: float, f1: str) -> PrintedTable:
    """Return the printed scores of one survey."""
    words = f1.split()
    values = {name: float(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    rows = {name: PrintedClass(None, None, value) for name, value in values.items()}
    macro = PrintedClass(recall, None, float("nan"))  # the paper has no macro F1
    return PrintedTable(f"Becker et al. (2025), {title}, median of seven folds", rows, None, macro)


TABLES |= {f"becker-{name}": _becker(*row) for name, row in BECKER.items()}
# Table 6: without one of the three modules, on the light curves of Table 4.
ABLATIONS = {
    "bilstm": (0.8714, PrintedClass(0.8876, 0.8673, 0.8744)),
    "cnn": (0.8666, PrintedClass(0.8824, 0.8730, 0.8766)),
    "attention": (0.8548, PrintedClass(0.8737, 0.8584, 0.8635)),
}
TABLES |= {
    f"astrafier-without-{module}": PrintedTable(f"{PAPER}, Table 6: without {module}", {}, *row)
    for module, row in ABLATIONS.items()
}


def print_printed(result: Assessment, paper: str, console: Console) -> None:
    """Print the scores of an assessment beside a paper's; without a paper, only those of the authors' own test file."""
    name = paper or ("astrafier-both" if _is_authors_test(result.sample) else "")
    if not name:
        return
    for model, scores in result.scores.items():
        console.print(comparison_table(scores, TABLES[name], model))


def _is_authors_test(sample: Sample) -> bool:
    """Return whether all light curves are of the ASTRAFier authors' test tensors."""
    table = sample.curves.table_of_objects
    if not {"product", "part"} <= set(table.column_names):
        return False
    return {*table["product"].to_pylist()} == {"astrafier"} and {*table["part"].to_pylist()} == {"test"}


def comparison_table(scores: Scores, printed: PrintedTable, name: str) -> Table:
    """Return a model's scores with 95 % intervals beside a paper's printed ones, as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    result = Table(title=f"{name} beside {printed.title}")
    result.add_column("class", justify="left")
    for k, figure in enumerate(("recall", "precision", "F1")):
        result.add_column(figure, justify="right")
        printed_there = any(row[k] is not None for row in (printed.macro, *printed.classes.values()))
        result.add_column("paper" if printed_there else "", justify="right", style="dim")
    for k, class_name in enumerate(scores.classes):
        if class_name in printed.classes:
            here = (scores.recall[k], scores.precision[k], scores.f1[k])
            result.add_row(*map(Text, _cells(class_name, here, printed.classes[class_name])))
    result.add_section()
    macro = (scores.balanced_accuracy, scores.macro_precision, scores.macro_f1)
    result.add_row(*map(Text, _cells("mean of classes", macro, printed.macro)))
    result.add_row(*map(Text, ("accuracy", str(scores.accuracy), _printed(printed.accuracy))))
    absent = [c for c in printed.classes if c not in scores.classes or not scores.n[scores.classes.index(c)]]
    if absent:
        result.caption = f"the paper's table has {', '.join(absent)} too: its means are of other classes"
    return result


def _cells(name: str, here: tuple[Any, Any, Any], printed: PrintedClass) -> list[str]:
    pairs = zip(here, printed, strict=True)
    return [name, *(text for value, paper in pairs for text in (str(value), _printed(paper)))]


def _printed(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.4f}"
