"""Names of models, and what a shell offers for them: told without loading PyTorch."""

import os
import subprocess
import sys

import pytest
from typer.main import get_command

from goodricke.cli import app
from goodricke.models.bundle import read_config
from goodricke.models.hub import SHIPPED, completions, shipped_models


def test_shipped_models_are_those_that_load():
    assert [read_config(name).name for name in shipped_models()] == shipped_models()
    assert "asas-v" in shipped_models()


def test_completions_begin_as_typed():
    assert completions("") == shipped_models()
    assert completions("as") == ["asas-v"]
    assert completions("asas-v/") == completions(str(SHIPPED)) == []  # the shell's own turn: files and folders


def complete(line: str, **environment: str) -> str:
    """Return what the command says to a shell that asks how a line may go on."""
    line = f"goodricke {line}"
    words = line.split(" ")
    asked = {"_GOODRICKE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; from goodricke.cli import app; sys.argv[0] = 'goodricke'; app(prog_name='goodricke')"
    given = os.environ | asked | environment
    return subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "line",
    ["classify stars.csv --model as", "models show as", "evaluate crts-v as", "alerts replay stars.csv --model as"],
)
def test_the_shell_is_offered_models(line):
    assert complete(line).split() == ["asas-v"]


def test_completion_loads_nothing_heavy():
    code = (
        "import sys, goodricke.cli\n"
        "from goodricke.models.hub import completions\n"
        "completions('a')\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'astropy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_option_that_takes_a_model_completes():
    """Go through all commands: an option or argument called ``model`` without completion has been forgotten."""
    waiting, forgotten, found = [("goodricke", get_command(app))], [], 0
    while waiting:
        name, command = waiting.pop()
        waiting += [(f"{name} {k}", v) for k, v in getattr(command, "commands", {}).items()]
        for parameter in command.params:
            if parameter.name in ("model", "shadow"):
                found += 1
                if getattr(parameter, "_custom_shell_complete", None) is None:
                    forgotten.append(f"{name} {parameter.opts}")
    assert found > 8
    assert forgotten == [], forgotten
