"""What pages say of the code is made of the code: all statuses, commands, readers, columns, keys and public names."""

from __future__ import annotations

import re
import tomllib

import pytest

import goodricke
from goodricke.data.formats.metadata import _COLUMNS
from goodricke.data.predictions import MEANING, Status
from goodricke.io import READERS
from goodricke.training.recipe import DataConfig, TrainingConfig
from tests.docs.blocks import ROOT


def test_every_status_has_a_cause_and_a_mend() -> None:
    from made import tables

    assert set(tables.FIXES) == set(Status) == set(MEANING)
    text = tables.statuses()
    assert all(f"| `{s}` | {MEANING[s]} |" in text for s in Status)


def test_every_command_has_its_section_with_all_its_options() -> None:
    from made import commands

    text = commands.page()
    sections = dict(re.findall(r"^#+ (goodricke[^\n]*)\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL))
    every = dict(commands.every())
    assert set(sections) == set(every)
    assert "goodricke alerts state ls" in every
    for name, command in every.items():
        for option in commands.options_of(command):
            assert f"`{option.opts[0]}`" in sections[name], (name, option.opts)
    assert "| `--mc` NUMBER | `20` |" in sections["goodricke classify"]
    assert "**required**" in sections["goodricke classify"]
    assert "| `--live` / `--no-live` | `on` |" in sections["goodricke alerts run"]


def test_help_becomes_markdown() -> None:
    from made import commands

    assert commands._text("a [bold]goodricke demo[/] \\[data] x_y `a_b`") == "a `goodricke demo` \\[data] x\\_y `a_b`"
    first, lines, prose = commands._help("One.\n\nNew files: goodricke a\nOr:        goodricke b\n\nMore.")
    assert (first, prose) == ("One.", "More.")
    assert lines == "```text\nNew files: goodricke a\nOr:        goodricke b\n```"


def test_readers_aliases_and_columns_are_all_there() -> None:
    from made import tables

    assert all(f"`{reader.NAME}`" in tables.readers() for reader in READERS)
    assert all(f"`{name}`" in tables.aliases() for name in ("hjd", "passband", "raj2000"))
    assert all(f"| `{name}` |" in tables.columns() for name in (*_COLUMNS, "p_<NAME>", "std_<NAME>"))
    assert all(f"| `{name}` |" in tables.shipped() for name in ("asas-v", "ztf-bts"))
    assert "**simulated**" in tables.shipped()


def test_recipes_are_the_packages_own_and_every_key_is_told() -> None:
    from made import recipes

    for kind in ("folded", "multiband"):
        content = tomllib.loads(recipes.example(kind).removeprefix("```toml\n").removesuffix("```\n"))
        assert content["preprocessing"]["kind"] == kind
    text = recipes.keys()
    for config in (DataConfig, TrainingConfig):
        assert all(f"| `{name}` |" in text for name in config.model_fields if name != "ensemble")
    assert "| `fewest` | `30` | classes with fewer objects are left out (and named) |" in text


def test_every_public_name_is_in_the_reference_and_has_a_docstring() -> None:
    from made import api

    assert {f"goodricke.{name}" for name in goodricke.__all__ if name[0] != "_"} <= set(api.names())
    for name in api.names():
        assert (api.found(name).__doc__ or "").strip(), name


def test_pages_are_filled_in_and_an_unknown_word_is_an_error() -> None:
    from made import MAKERS, filled

    told = {
        name for page in (ROOT / "docs").rglob("*.md") for name in re.findall(r"<!-- made: ([\w-]+)", page.read_text())
    }
    assert told == set(MAKERS)
    assert "NON_FINITE" in filled("# x\n\n<!-- made: statuses -->\n")
    with pytest.raises(KeyError):
        filled("<!-- made: nonsense -->")


def test_a_cell_of_a_table_stays_a_cell() -> None:
    from made.markdown import codes, table

    assert table(["a"], [["b|c\n d"]]) == "| a |\n| --- |\n| b\\|c d |\n"
    assert codes(["a", "b"]) == "`a`, `b`"
