"""Where a page's blocks are run: its commands in this process, its Python in one namespace, its recipes read."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any, ClassVar

from typer.main import get_command
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.training.recipe import Recipe
from tests.docs.blocks import Block, Command, commands_of, expanded

# What a page asks for, and what is enough to know that it works.
SMALLER = (
    (r"--per-class \d+", "--per-class 2"),
    (r"--workers \d+", "--workers 1"),
    (r"-n \d+\b", "-n 5"),
    (r"--folds \d+", "--folds 2"),
    (r"passes=\d+", "passes=2"),
)
PASSES = ("classify", "catalog", "evaluate", "calibrate")  # have --mc, 20 by default

# Commands that aren't run here but looked at by the parser of the command line, and who runs them.
ELSEWHERE = (
    (r"download ", "a network; tests/download has a server of its own"),
    (r"alerts run --config", "a broker; tests/alerts"),
    (r"demo alerts", "a broker; tests/alerts"),
    (r"explore\b|serve\b", "a browser; tests/explorer"),
    (r".*--dask", "a cluster; tests/catalog/test_distribute.py"),
    (r".*--device cuda", "a GPU"),
    (r".*--install-completion", "the user's shell"),
    (r".*\brecipes/", "survey data; the recipes' own runs"),
    (r"models import", "the published checkpoint; tests/models/test_published.py"),
    (r"novelty ", "a training for each class; tests/assessment/test_left_out.py"),
    (r"examine ", "a minute for its figures; tests/catalog/test_examine.py"),
    (r"evaluate (MODEL|asas-v|.*--out )", "ten seconds each; one report is made, and tests/assessment"),
    (r"classify FILES .*--plot", "a figure per object; the quick start does one"),
    (r"demo .*--plot", "a figure of each of twelve stars; tests/test_shipped.py"),
    (r"simulate .*--(figure|sectors|cadence|class)", "seconds each; tests/simulate/test_command.py"),
    (r"similar --catalog P\b|.*--rehearse", "many repetitions; tests/embeddings/test_rehearse.py"),
)
ELSEWHERE_IN_PYTHON = r"requests\.|sys\.argv|^import lsdb|pyspark|huggingface_hub"  # a server, HATS, Spark, a hub
# Programs that aren't ours.
PROGRAMS = ("python", "python3", "pip", "pytest", "torchrun", "duckdb", "ruff", "mypy", "grep", "curl", "git", "ssh")


ONCE = ("evaluate", "demo")  # seconds each: the same words are run on the first page of a process that has them


class Kitchen:
    """Runs blocks in a folder.

    Parameters
    ----------
    folder : Path
        The working directory. What a page makes isn't there before: what is there already under the name is put away.
    """

    done: ClassVar[set[tuple[str, ...]]] = set()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = {path.name for path in folder.iterdir()}
        self.names: dict[str, Any] = {"__name__": "page"}

    def run(self, block: Block) -> None:
        """Run a block, or look at it if it can't be run here."""
        if block.language == "python":
            self._python(block)
        elif block.language == "toml":
            self._toml(block)
        else:
            for command in commands_of(smaller(block.text)):
                self._command(command, block)

    def _python(self, block: Block) -> None:
        code = compile("\n" * block.line + smaller(block.text), str(block.page), "exec")
        if not (block.needs or re.search(ELSEWHERE_IN_PYTHON, block.text, re.MULTILINE)):
            exec(code, self.names)

    def _toml(self, block: Block) -> None:
        content = tomllib.loads(block.text)
        if {"name", "run", "data"} <= set(content):
            Recipe.model_validate(content)
        if named := re.match(r"# (\w+\.toml)\b", block.text):
            (self.folder / named[1]).write_text(block.text)

    def _command(self, command: Command, block: Block) -> None:
        program = Path(command.words[0]).name
        if program != "goodricke":
            assert program in PROGRAMS or command.words[0] == ".", f"{block.place}: what is {program}?"
            words = list(command.words)
            if "goodricke" in words and "-m" in words:  # torchrun ... -m goodricke train my.toml
                parse(words[words.index("goodricke") + 1 :], block.place)
            return
        words = expanded(command.words[1:])
        parse(words, block.place)
        if block.needs or any(re.match(pattern, " ".join(words)) for pattern, _ in ELSEWHERE):
            return
        if words[0] in ONCE and tuple(words) in self.done:
            return
        self.done.add(tuple(words))
        self._put_away(words, command.into)
        told = CliRunner().invoke(app, [*words, *_little(words)], catch_exceptions=False)
        some = told.exit_code == 3 and not re.search(r"\b0 of [\d,]+ classified", told.output)
        assert told.exit_code == 0 or some, f"{block.place}: goodricke {' '.join(words)}\n{told.output}"
        if command.into:
            (self.folder / command.into).write_text(told.stdout)

    def _put_away(self, words: list[str], into: str | None) -> None:
        made = [words[k + 1] for k, word in enumerate(words[:-1]) if word == "--out"] + [into or ""]
        for name in {Path(m).parts[0] for m in made if m} & self.before:
            self.before.discard(name)
            place = self.folder / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()


def smaller(text: str) -> str:
    """Return a block with smaller numbers."""
    for pattern, enough in SMALLER:
        text = re.sub(pattern, enough, text)
    return text


def parse(words: list[str], place: str) -> Any:
    """Look whether a command and its options exist and have values of the right kind, without running it."""
    command = get_command(app)
    name = "goodricke"
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{place}: {name} has no command {words[0]}"
        name, command, words = f"{name} {words[0]}", command.commands[words[0]], words[1:]
    if words or not hasattr(command, "commands"):
        try:
            command.make_context(name, list(words))
        except SystemExit as done:
            if done.code:
                raise
        except Exception as error:
            if type(error).__name__ != "Exit":  # --version, --help
                raise AssertionError(f"{place}: {name} {' '.join(words)}: {error}") from error
    return command


def _little(words: list[str]) -> list[str]:
    """Return options that make a command quick, where the page leaves them at their defaults."""
    if words[0] == "simulate" and "--out" in words and "--per-class" not in words:
        return ["--per-class", "2"]
    return ["--mc", "2"] if words[0] in PASSES and "--mc" not in words else []


def cooked(folder: Path) -> None:
    """Add what other commands make and pages begin with: a pack, and a catalog of it."""
    for words in (
        ["pack", str(folder / "mine"), "--out", str(folder / "packed")],
        ["catalog", str(folder / "packed"), "--model", "asas-v", "--mc", "2", "--out", str(folder / "catalog")],
    ):
        told = CliRunner().invoke(app, words, catch_exceptions=False)
        assert told.exit_code == 0, told.output
    shutil.copytree(folder / "catalog", folder / "CATALOG")
