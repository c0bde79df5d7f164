"""The site builds without a warning, and its pages load nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "docs", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


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
