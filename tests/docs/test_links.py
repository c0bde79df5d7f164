"""Every link and picture leads somewhere, every option and test that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# Options of other programs that pages name: pip's, torchrun's, the benchmarks', Sphinx's.
OTHERS = {"--index-url", "--nproc-per-node"} | {"--only", "--threads", "--minutes"}
OTHERS |= {"--arms", "--seeds", "--table", "--data"}
PAGES = [*pages(), ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(_without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https:"), target
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.relative_to(ROOT)}: {target}"
        assert not anchor or anchor in _anchors(there), f"{page.relative_to(ROOT)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_exist(page: Path) -> None:
    from made import commands

    known = {name for _, c in commands.every() for o in c.params for name in (*o.opts, *o.secondary_opts)}
    told = set(OPTION.findall(page.read_text()))
    unknown = told - known - OTHERS - {"--help"}
    assert not unknown, f"{page.relative_to(ROOT)}: {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_repository_exist(page: Path) -> None:
    named = re.findall(r"`((?:tests|docs|recipes|benchmarks|src)/[\w/.-]+)`", page.read_text())
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing, f"{page.relative_to(ROOT)}: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_exist(page: Path) -> None:
    from made import commands

    known = {name for name, _ in commands.every()}
    for inline in re.findall(r"`goodricke ([a-z]+)[^`]*`", page.read_text()):
        assert f"goodricke {inline}" in known, f"{page.relative_to(ROOT)}: goodricke {inline}"


def test_every_page_is_in_the_tree() -> None:
    listed = {ROOT / "docs" / "index.md"}
    for page in (ROOT / "docs").rglob("*.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            names = [line.strip() for line in tree.splitlines() if line.strip() and not line.startswith(":")]
            listed |= {(page.parent / f"{name}.md").resolve() for name in names}
    assert set((ROOT / "docs").rglob("*.md")) - listed == set()


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", _without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
