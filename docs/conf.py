"""The documentation site: ``python -m sphinx -W -n docs site`` (``pip install 'goodricke[docs]'``), no network needed.

A comment ``<!-- generate: NAME ARGUMENTS -->`` alone on a line of a page is replaced by Markdown that
`generators` makes from the code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from generators import sphinx_hooks
from sphinx.application import Sphinx

from goodricke import __version__ as release

project, author, copyright = "goodricke", "The goodricke developers", "the goodricke developers, BSD-3-Clause"
version = release
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "generators", "figures"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "attrs_block"]
highlight_language = "text"
smartquotes = False  # `--out` is no dash
nitpicky = True

# The docstrings give types and shapes in words; single backticks name objects, commands and files of goodricke.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_param = napoleon_use_rtype = napoleon_use_keyword = False
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "goodricke"
html_static_path = ["_static"]
html_css_files = ["goodricke.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options: dict[str, Any] = {
    "logo": {"text": "goodricke", "image_light": "_static/mark.svg", "image_dark": "_static/mark.svg"},
    "header_links_before_dropdown": 7,
    "navigation_with_keys": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_sidebars = {"index": [], "quickstart": []}


def setup(app: Sphinx) -> None:
    """Connect the hooks; formulas are shown as code, so that no page loads a script from elsewhere."""
    app.connect("source-read", sphinx_hooks.generate_parts)
    app.connect("missing-reference", sphinx_hooks.keep_as_text)
    app.connect("autodoc-skip-member", sphinx_hooks.skip_routing_methods)
    formula = sphinx_hooks.FORMULA_AS_CODE
    app.add_html_math_renderer("code", inline_renderers=formula, block_renderers=formula)
    app.config.html_math_renderer = "code"  # type: ignore[attr-defined]
