"""Every code block of every page runs: commands in this process, Python in one namespace per page, recipes validated.

Commands that can't run here (they need a network, a broker, a cluster, a GPU, hours) must at least exist, with their
options: see `page_runner.PARSED_ONLY`, and ``<!-- needs: ... -->`` above a block of a page.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import NO_CODE, ROOT, SHELL, Block, blocks_of, commands_of, expand, pages
from tests.docs.page_runner import PageRunner, parse

PAGES = [page for page in pages() if blocks_of(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, page_runner: PageRunner) -> None:
    for block in blocks_of(page):
        if block.language in (*SHELL, "python", "toml"):
            page_runner.run(block)
        else:
            assert block.language in NO_CODE or block.language.startswith("{"), f"{block.place}: {block.language}"


def test_blocks_are_parsed_with_their_needs(tmp_path: Path) -> None:
    page = ROOT / "docs" / "x.md"
    text = "# x\n\n<!-- needs: a broker -->\n```sh\ngoodricke demo alerts\n```\n\n```python\n1 / 0\n```\n"
    (tmp_path / "x.md").write_text(text)
    parsed = blocks_of(tmp_path / "x.md")
    assert [(b.language, b.needs, b.line) for b in parsed] == [("sh", "a broker", 4), ("python", "", 8)]
    assert Block(page, 1, "sh", "").place == "docs/x.md:1"


def test_shell_lines_are_split_as_a_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "goodricke train --example > my.toml   # a recipe\na 'b c' && d \\\n  e; f | g\n# nothing\n"
    parsed = commands_of(text)
    assert [c.words for c in parsed] == [("goodricke", "train", "--example"), ("a", "b c"), ("d", "e"), ("f",), ("g",)]
    assert [c.output for c in parsed] == ["my.toml", None, None, None, None]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").touch()
    assert expand(("*.csv", "no*.fits", "FILES...", "a...")) == ["one.csv", "no*.fits", "FILES", "a..."]


@pytest.mark.parametrize(
    "words",
    [
        ["clasify", "x.csv"],
        ["classify", "x.csv", "--modell", "variables"],
        ["catalog", "x.csv"],
        ["classify", "x.csv", "--model", "variables", "--mc", "many"],
        ["alerts", "state", "list"],
    ],
)
def test_a_command_that_does_not_exist_is_an_error(words: list[str]) -> None:
    with pytest.raises(AssertionError):
        parse(words, "page:1")


def test_a_block_that_fails_fails(page_runner: PageRunner) -> None:
    page = ROOT / "docs" / "x.md"
    with pytest.raises(ZeroDivisionError):
        page_runner.run(Block(page, 1, "python", "1 / 0\n"))
    with pytest.raises(AssertionError, match=r"x\.md:1"):
        page_runner.run(Block(page, 1, "sh", "goodricke classify nothing.csv --model variables\n"))
    data = '[data]\nlight_curves = "a"\nlabels = "b"\n'
    with pytest.raises(ValueError, match="nonsense"):
        page_runner.run(Block(page, 1, "toml", f'name = "x"\nrun = "y"\nnonsense = 1\n{data}'))
