"""The examples in docstrings run, and every public name has one."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import goodricke as gr

SOURCE = Path(gr.__file__).parent
PATHS = sorted(path for path in SOURCE.rglob("*.py") if ">>>" in path.read_text())
MODULES = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__") for path in PATHS]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    names = {"gr": gr, "np": np} | vars(module)
    result = doctest.testmod(module, extraglobs=names, optionflags=FLAGS, report=True)
    assert not result.failed, f"{result.failed} of {result.attempted} examples fail: see the output"


@pytest.mark.parametrize("name", [name for name in gr.__all__ if not name.startswith("__")])
def test_every_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (getattr(gr, name).__doc__ or ""), f"goodricke.{name} has no example"
