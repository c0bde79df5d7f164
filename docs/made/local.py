"""What keeps the site whole in itself: references that lead nowhere stay words, formulas stay as they are written."""

from __future__ import annotations

from typing import Any

from docutils import nodes


def in_words(app: Any, env: Any, node: Any, contnode: nodes.Node) -> nodes.Node | None:
    """Leave a docstring's name of something that has no page as it is.

    An explicit reference to something of ours that isn't there stays an error of the build.
    """
    if node.get("refdomain") != "py":
        return None
    ours = node.get("reftarget", "").startswith("goodricke.")
    return None if ours and node["reftype"] != "obj" else contnode


def unwanted(app: Any, what: str, name: str, thing: object, skip: bool, options: Any) -> bool | None:
    """Leave out the methods that scikit-learn adds to every estimator for the routing of metadata."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def _open(translator: Any, node: Any) -> None:
    translator.body.append(f'<code class="formula">{translator.encode(node.astext())}</code>')
    raise nodes.SkipNode


AS_CODE = (_open, None)
