"""Generated parts of the pages are complete: statuses, commands, readers, columns, keys and public names."""

from __future__ import annotations

import re
import tomllib

import pytest

import goodricke
from goodricke.data.formats.metadata import COLUMNS
from goodricke.data.predictions import MEANING, Status
from goodricke.io import READERS
from goodricke.training.recipe import DataConfig, TrainingConfig
from tests.docs.blocks import ROOT


def test_every_status_has_a_cause_and_a_fix() -> None:
    from generators import tables

    assert set(tables.FIXES) == set(Status) == set(MEANING)
    text = tables.statuses()
    assert all(f"| `{s}` | {MEANING[s]} |" in text for s in Status)


def test_every_command_has_its_section_with_all_its_options() -> None:
    from generators import commands

    text = commands.page()
    sections = dict(re.findall(r"^#+ (goodricke[^\n]*)\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL))
    by_name = dict(commands.all_commands())
    assert set(sections) == set(by_name)
    assert "goodricke alerts state ls" in by_name
    for name, command in by_name.items():
        for option in commands.options_of(command):
            assert f"`{option.opts[0]}`" in sections[name], (name, option.opts)
    assert "| `--mc` NUMBER | `20` |" in sections["goodricke classify"]
    assert "**required**" in sections["goodricke catalog"]
    assert "| `--live` / `--no-live` | `on` |" in sections["goodricke alerts run"]


def test_help_becomes_markdown() -> None:
    from generators import commands

    assert commands._text("a [bold]goodricke demo[/] \\[data] x_y `a_b`") == "a `goodricke demo` \\[data] x\\_y `a_b`"
    first, lines, prose = commands._help("One.\n\nNew files: goodricke a\nOr:        goodricke b\n\nMore.")
    assert (first, prose) == ("One.", "More.")
    assert lines == "```text\nNew files: goodricke a\nOr:        goodricke b\n```"


def test_readers_aliases_and_columns_are_all_there() -> None:
    from generators import tables

    assert all(f"`{reader.NAME}`" in tables.readers() for reader in READERS)
    assert all(f"`{name}`" in tables.aliases() for name in ("hjd", "passband", "raj2000"))
    assert all(f"| `{name}` |" in tables.columns() for name in (*COLUMNS, "p_<NAME>", "std_<NAME>"))
    assert all(f"| `{name}` |" in tables.shipped() for name in ("variables", "ztf-bts"))
    assert "**simulated**" in tables.shipped()


def test_recipes_are_those_of_the_package_and_every_key_is_explained() -> None:
    from generators import recipes

    for kind in ("variables", "dense", "multiband"):
        content = tomllib.loads(recipes.example(kind).removeprefix("```toml\n").removesuffix("```\n"))
        assert content["preprocessing"]["kind"] == kind
    text = recipes.keys()
    for config in (DataConfig, TrainingConfig):
        assert all(f"| `{name}` |" in text for name in config.model_fields if name != "ensemble")
    assert "| `fewest` | `30` | classes with fewer objects are left out; the log names them |" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert not [row for row in rows if row.endswith("|  |")]
    assert "| `rate` | `0.001` | learning rate of the network |" in text  # of the section that [pretraining] extends


def test_every_public_name_is_in_the_reference_and_has_a_docstring() -> None:
    from generators import api

    assert {f"goodricke.{name}" for name in goodricke.__all__ if name[0] != "_"} <= set(api.names())
    for name in api.names():
        documented = api.import_object(name)
        assert (documented.__doc__ or "").strip(), name
        for key, member in vars(documented).items() if isinstance(documented, type) else ():
            first_line = (member.__doc__ or "").split("\n")[0] if isinstance(member, property) else ""
            assert ": " not in re.sub(r"`+[^`]*`+", "", first_line), (
                f"{name}.{key}: Sphinx takes the words before a colon for a type"
            )


def test_pages_use_every_generator_and_an_unknown_one_is_an_error() -> None:
    from generators import GENERATORS, generate

    names = {
        name
        for page in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"<!-- generate: ([\w-]+)", page.read_text())
    }
    assert names == set(GENERATORS)
    assert "NON_FINITE" in generate("# x\n\n<!-- generate: statuses -->\n")
    with pytest.raises(KeyError):
        generate("<!-- generate: nonsense -->")


def test_a_cell_of_a_table_stays_a_cell() -> None:
    from generators.markdown import codes, table

    assert table(["a"], [["b|c\n d"]]) == "| a |\n| --- |\n| b\\|c d |\n"
    assert codes(["a", "b"]) == "`a`, `b`"
