"""The site builds without a warning, and its pages load nothing from elsewhere."""

from __future__ import annotations

import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from goodricke.data.processes import worker_context
from tests.docs.blocks import ROOT

LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=[\"']([^\"']+)"
    r"|<link\b(?![^>]*rel=[\"'](?:canonical|license)[\"'])[^>]*?\bhref=[\"']([^\"']+)"
)
IN_STYLE = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site."""
    pytest.importorskip("sphinx", reason="needs the extra docs")
    pytest.importorskip("pydata_sphinx_theme", reason="needs the extra docs")
    pytest.importorskip("myst_parser", reason="needs the extra docs")
    out, messages = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("log") / "messages"
    process = worker_context().Process(target=_build, args=(out, messages))
    process.start()
    process.join()
    assert process.exitcode == 0, messages.read_text()
    return out


def _build(out: Path, messages: Path) -> None:
    """Run ``python -m sphinx -W -n -q docs OUT`` in this process, which ends with its exit code."""
    from sphinx.cmd.build import build_main

    os.chdir(ROOT)
    with open(messages, "w") as file, redirect_stdout(file), redirect_stderr(file):
        sys.exit(build_main(["-W", "-n", "-q", "docs", str(out)]))


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        for found in LOADED.findall(page.read_text()):
            assert not re.match(r"(https?:)?//", "".join(found)), f"{page.name}: {found}"
    for style in site.rglob("*.css"):
        for found in IN_STYLE.findall(style.read_text()):
            assert not re.match(r"(https?:)?//", "".join(found)), f"{style.name}: {found}"


def test_search_and_the_reference_work_without_a_server(site: Path) -> None:
    assert (site / "searchindex.js").stat().st_size > 50_000
    reference = (site / "reference" / "api.html").read_text()
    assert 'id="goodricke.LightCurves"' in reference
    assert 'id="goodricke.classify"' in reference
    assert "generate:" not in (site / "reference" / "cli.html").read_text()


def test_loading_from_elsewhere_is_recognised() -> None:
    assert LOADED.findall('<script async src="https://cdn.example/x.js">') == [("https://cdn.example/x.js", "")]
    assert LOADED.findall('<link rel="stylesheet" href="//fonts.example/a.css">') == [("", "//fonts.example/a.css")]
    assert LOADED.findall('<link rel="canonical" href="https://example"><a href="https://x">') == []
    assert IN_STYLE.findall("src: url('https://f/x.woff')") == [("https://f/x.woff", "")]
