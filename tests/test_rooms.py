"""The rooms: each imports only from rooms above it in the list, and no module imports itself through others."""

import ast
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
ROOMS = (
    *("data", "io", "preprocess", "uncertainty", "models", "inference", "training", "evaluation", "estimator"),
    *("survey", "spark", "alerts", "service", "explorer", "simulate", "download", "cli"),
)


def modules() -> dict[str, Path]:
    """Return the package's modules by their dotted names."""
    paths = sorted((SOURCE / "goodricke").rglob("*.py"))
    return {".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def imports(path: Path, deferred: bool = True) -> set[str]:
    """Return the modules of the package that a file imports, those within functions too if ``deferred``."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if deferred else executed_at_once(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "goodricke":
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in MODULES else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found


def executed_at_once(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements that run when a module is imported: not those of functions and of type checking."""
    result: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        result.append(node)
        for part in ("body", "orelse", "handlers", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                result += executed_at_once(getattr(node, part, []))
    return result


def room(module: str) -> str:
    """Return the room that a module is in, an empty string for the package itself."""
    return module.split(".")[1] if "." in module else ""


def test_the_top_level_holds_the_rooms_and_nothing_else():
    names = {path.name.removesuffix(".py") for path in (SOURCE / "goodricke").iterdir()} - {"__pycache__"}
    assert names == {*ROOMS, "__init__", "__main__", "py.typed"}


def test_a_room_imports_only_from_rooms_above_it():
    place = {name: k for k, name in enumerate(ROOMS)}
    upward = [
        f"{name} -> {other}"
        for name, path in MODULES.items()
        for other in imports(path)
        if room(name) in place and room(other) and place[room(other)] > place[room(name)]
    ]
    assert upward == []


def test_no_file_name_stands_in_three_places():
    names = Counter(path.name for path in MODULES.values() if path.name != "__init__.py")
    assert [name for name, number in names.items() if number > 2] == []


def test_no_module_waits_for_itself():
    graph = {name: imports(path, deferred=False) - {"goodricke"} for name, path in MODULES.items()}
    finished: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in finished:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f():\n    from goodricke.cli import main", {"goodricke.cli"}),
        ("import goodricke.inference", {"goodricke.inference"}),
        ("from goodricke import io, __version__", {"goodricke.io", "goodricke"}),
        ("if TYPE_CHECKING:\n    from goodricke.io import read", {"goodricke.io"}),
    ],
)
def test_imports_are_seen_wherever_they_stand(tmp_path, code, found):
    (tmp_path / "module.py").write_text(code)
    assert imports(tmp_path / "module.py") == found
