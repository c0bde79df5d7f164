"""Run the code blocks of a page: commands in this process, Python in one namespace, recipes validated."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any, ClassVar

from typer.main import get_command
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.exit_codes import ExitCode
from goodricke.training.recipe import Recipe
from tests.docs.blocks import Block, Command, commands_of, expand

# Smaller numbers that show as well that a block works.
SMALLER = (
    (r"--per-class \d+", "--per-class 2"),
    (r"--workers \d+", "--workers 1"),
    (r"-n \d+\b", "-n 5"),
    (r"--folds \d+", "--folds 2"),
    (r"passes=\d+", "passes=2"),
)
PASSES = ("classify", "catalog", "evaluate", "calibrate")  # have --mc, 20 by default

# Commands that are only parsed here: what running them needs or costs, and the tests that run them.
PARSED_ONLY = (
    (r"download ", "a network; tests/download has a server of its own"),
    (r"alerts run --config", "a broker; tests/alerts"),
    (r"demo alerts", "a broker; tests/alerts"),
    (r"explore\b|serve\b", "a browser; tests/explorer"),
    (r".*--dask", "a cluster; tests/survey/test_dask.py"),
    (r".*--device cuda", "a GPU"),
    (r".*--install-completion", "the user's shell"),
    (r".*\brecipes/", "survey data; the recipes' own runs"),
    (r"models import", "the published checkpoint; tests/models/test_published.py"),
    (r"novelty ", "a training for each class; tests/evaluation/test_unseen_class.py"),
    (r"examine ", "a minute for its figures; tests/survey/test_examine.py"),
    (r"evaluate (MODEL|variables|.*--(out|report) )", "ten seconds each; tests/evaluation/test_report.py"),
    (r"classify FILES .*--plot", "a figure per object; the quick start does one"),
    (r"demo .*--plot", "a figure of each of twelve stars; tests/test_shipped.py"),
    (r"simulate .*--(figure|sectors|cadence|class)", "seconds each; tests/simulate/test_command.py"),
)
COMPILED_ONLY = r"requests\.|sys\.argv|^import lsdb|pyspark|huggingface_hub"  # a server, HATS, Spark, a hub
OTHER_PROGRAMS = (
    "python",
    "python3",
    "pip",
    "pytest",
    "torchrun",
    "duckdb",
    "ruff",
    "mypy",
    "grep",
    "curl",
    "git",
    "ssh",
)

ONCE = ("evaluate", "demo")  # seconds each: the same words run only on the first page of a process that has them


class PageRunner:
    """Runs blocks in a folder.

    Parameters
    ----------
    folder : Path
        The working directory, with sample files. What a page writes replaces the sample file of that name.
    """

    done: ClassVar[set[tuple[str, ...]]] = set()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = {path.name for path in folder.iterdir()}
        self.names: dict[str, Any] = {"__name__": "page"}

    def run(self, block: Block) -> None:
        """Run a block, or check it if it can't be run here."""
        if block.language == "python":
            self._run_python(block)
        elif block.language == "toml":
            self._validate_recipe(block)
        else:
            for command in commands_of(shrink(block.text)):
                self._run_command(command, block)

    def _run_python(self, block: Block) -> None:
        code = compile("\n" * block.line + shrink(block.text), str(block.page), "exec")
        if not (block.needs or re.search(COMPILED_ONLY, block.text, re.MULTILINE)):
            exec(code, self.names)

    def _validate_recipe(self, block: Block) -> None:
        content = tomllib.loads(block.text)
        if {"name", "run", "data"} <= set(content):
            Recipe.model_validate(content)
        if name := re.match(r"# (\w+\.toml)\b", block.text):
            (self.folder / name[1]).write_text(block.text)

    def _run_command(self, command: Command, block: Block) -> None:
        program = Path(command.words[0]).name
        if program != "goodricke":
            assert program in OTHER_PROGRAMS or command.words[0] == ".", f"{block.place}: what is {program}?"
            words = list(command.words)
            if "goodricke" in words and "-m" in words:  # torchrun ... -m goodricke train my.toml
                parse(words[words.index("goodricke") + 1 :], block.place)
            return
        words = expand(command.words[1:])
        parse(words, block.place)
        if block.needs or any(re.match(pattern, " ".join(words)) for pattern, _ in PARSED_ONLY):
            return
        if words[0] in ONCE and tuple(words) in self.done:
            return
        self.done.add(tuple(words))
        self._remove_samples(words, command.output)
        result = CliRunner().invoke(app, [*words, *_quick_options(words)], catch_exceptions=False)
        partial = result.exit_code == ExitCode.SOME_FAILED and not re.search(r"\b0 of [\d,]+ classified", result.output)
        assert result.exit_code == 0 or partial, f"{block.place}: goodricke {' '.join(words)}\n{result.output}"
        if command.output:
            (self.folder / command.output).write_text(result.stdout)

    def _remove_samples(self, words: list[str], output: str | None) -> None:
        written = [words[k + 1] for k, word in enumerate(words[:-1]) if word == "--out"] + [output or ""]
        for name in {Path(path).parts[0] for path in written if path} & self.samples:
            self.samples.discard(name)
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def shrink(text: str) -> str:
    """Return a block with smaller numbers."""
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    return text


def parse(words: list[str], place: str) -> Any:
    """Check that a command and its options exist and have values of the right kind, without running it."""
    command = get_command(app)
    name = "goodricke"
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{place}: {name} has no command {words[0]}"
        name, command, words = f"{name} {words[0]}", command.commands[words[0]], words[1:]
    if words or not hasattr(command, "commands"):
        try:
            command.make_context(name, list(words))
        except SystemExit as stop:
            if stop.code:
                raise
        except Exception as error:
            if type(error).__name__ != "Exit":  # --version, --help
                raise AssertionError(f"{place}: {name} {' '.join(words)}: {error}") from error
    return command


def _quick_options(words: list[str]) -> list[str]:
    """Return options that make a command quick where the page leaves the defaults."""
    if words[0] == "simulate" and "--out" in words and "--per-class" not in words:
        return ["--per-class", "2"]
    return ["--mc", "2"] if words[0] in PASSES and "--mc" not in words else []


def add_catalog(folder: Path) -> None:
    """Add a pack and a catalog of it, which pages start from."""
    for words in (
        ["pack", str(folder / "mine"), "--out", str(folder / "packed")],
        ["catalog", str(folder / "packed"), "--model", "variables", "--mc", "2", "--out", str(folder / "catalog")],
    ):
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    shutil.copytree(folder / "catalog", folder / "CATALOG")
