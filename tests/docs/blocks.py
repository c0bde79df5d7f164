"""The code blocks of the pages, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from glob import glob
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"^(?:<!-- needs: (?P<needs>[^>]*) -->\n)?^(?P<mark>```+)(?P<language>[\w{}-]*)\n(?P<text>.*?)^(?P=mark)$",
    re.MULTILINE | re.DOTALL,
)
SHELL, NO_CODE = ("sh", "console", "bash", "shell"), ("", "text", "json", "html", "csv", "javascript", "nginx")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``needs`` names what running it requires (``<!-- needs: ... -->`` on the line above)."""

    page: Path
    line: int
    language: str
    text: str
    needs: str = ""

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a shell block: its words, and the file that its output is redirected to."""

    words: tuple[str, ...]
    output: str | None = None


def pages() -> list[Path]:
    """Return the pages: the README and all of ``docs``."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, m.start("mark")) + 1, m["language"], m["text"], m["needs"] or "")
        for m in FENCE.finditer(text)
    ]


def commands_of(text: str) -> list[Command]:
    """Return the commands of a shell block, without comments and prompts; ``&&``, ``;`` and ``|`` separate them."""
    result = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="&|;>")
        lexer.commenters, lexer.whitespace_split = "#", True
        result += _split_commands(list(lexer))
    return result


def _split_commands(words: list[str]) -> list[Command]:
    result: list[Command] = []
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in ("&&", ";", "|", "&"):
            command.append(word)
            continue
        if command:
            end = command.index(">") if ">" in command else len(command)
            result.append(Command(tuple(command[:end]), *command[end + 1 : end + 2]))
        command = []
    return result


def expand(words: tuple[str, ...]) -> list[str]:
    """Return the words with wildcards expanded, as a shell does, and without the dots of ``FILES...``."""
    result = []
    for word in words:
        matches = sorted(glob(word)) if re.search(r"[*?]", word) else []
        result += matches or [word.removesuffix("...") if word.endswith("...") and word[0].isupper() else word]
    return result
