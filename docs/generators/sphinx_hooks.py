"""Hooks of Sphinx: generated parts, references to objects without a page, scikit-learn's methods, formulas."""

from __future__ import annotations

from typing import Any

from docutils import nodes

from generators import generate


def generate_parts(app: Any, page: str, source: list[str]) -> None:
    """Generate the parts of a page as Sphinx reads it."""
    source[0] = generate(source[0])


def keep_as_text(app: Any, env: Any, node: Any, contnode: nodes.Node) -> nodes.Node | None:
    """Keep a docstring's reference to an object without a page as text.

    An explicit reference to a missing object of goodricke stays an error of the build.
    """
    if node.get("refdomain") != "py":
        return None
    ours = node.get("reftarget", "").startswith("goodricke.")
    return None if ours and node["reftype"] != "obj" else contnode


def skip_routing_methods(app: Any, what: str, name: str, thing: object, skip: bool, options: Any) -> bool | None:
    """Skip the methods that scikit-learn adds to every estimator for the routing of metadata."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def _write_formula(translator: Any, node: Any) -> None:
    translator.body.append(f'<code class="formula">{translator.encode(node.astext())}</code>')
    raise nodes.SkipNode


FORMULA_AS_CODE = (_write_formula, None)
