"""Light curves that come with the package: twelve variable stars of the ASAS survey, and their literature classes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class LiteratureClass(NamedTuple):
    """The class that the source of a light curve gives for the star."""

    leaves: str  # leaf or node of the package's taxonomy
    name: str  # in words


def example_files() -> list[str]:
    """Return the paths of the light curves, one CSV file per star."""
    return sorted(str(path) for path in (FOLDER / "asas").glob("*.csv"))


def literature_classes() -> dict[str, LiteratureClass]:
    """Return the literature classes of those of the stars that have one, by object id."""
    with (FOLDER / "literature.csv").open(newline="", encoding="utf-8") as file:
        return {row["object_id"]: LiteratureClass(row["leaves"], row["class"]) for row in csv.DictReader(file)}
