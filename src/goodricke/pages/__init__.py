"""Reports as pages: sections in, one HTML file that needs nothing else, and its twins in Markdown and JSON."""

from goodricke.pages.html import to_html
from goodricke.pages.markdown import to_markdown
from goodricke.pages.section import Page, Section
from goodricke.pages.writing import to_json, write_page

__all__ = ["Page", "Section", "to_html", "to_json", "to_markdown", "write_page"]
