"""Every link, picture, option, command and file that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.blocks import ROOT, pages

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# Options of pip, torchrun and the benchmarks, and typer's own.
OTHER_OPTIONS = {"--index-url", "--nproc-per-node", "--only", "--threads", "--minutes"}
OTHER_OPTIONS |= {"--arms", "--seeds", "--table", "--data", "--rounds", "--help"}
PAGES = [*pages(), ROOT / "CONTRIBUTING.md"]
FILE = re.compile(r"`((?:tests|docs|recipes|benchmarks|src)/[\w/.-]+)`")


def test_links_options_files_and_commands_exist() -> None:
    from generators import commands

    names = dict(commands.all_commands())
    options = {o for command in names.values() for p in command.params for o in (*p.opts, *p.secondary_opts)}
    faults = []
    for page in PAGES:
        text = page.read_text()
        unknown = [target for target in LINK.findall(_without_code(text)) if not _exists(target, page)]
        unknown += set(OPTION.findall(text)) - options - OTHER_OPTIONS
        unknown += [name for name in FILE.findall(text) if not (ROOT / name).exists()]
        unknown += [word for word in re.findall(r"`(goodricke [a-z][a-z-]+)[^`]*`", text) if word not in names]
        faults += [f"{page.relative_to(ROOT)}: {name}" for name in unknown]
    assert not faults, "\n".join(faults)


def _exists(target: str, page: Path) -> bool:
    """Return whether the target of a link exists; one on the web must have https."""
    if re.match(r"[a-z]+:", target):
        return target.startswith("https:")
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def test_every_page_is_in_the_tree() -> None:
    listed = {ROOT / "docs" / "index.md"}
    for page in (ROOT / "docs").rglob("*.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            names = [line.strip() for line in tree.splitlines() if line.strip() and not line.startswith(":")]
            names = [re.sub(r"^.*<(.+)>$", r"\1", name) for name in names]  # title <name>
            listed |= {(page.parent / f"{name}.md").resolve() for name in names}
    assert set((ROOT / "docs").rglob("*.md")) - listed == set()


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", _without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
