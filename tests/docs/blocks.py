"""What a page tells its reader to type: the fenced blocks of Markdown, and the commands in them."""

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
SHELL, NO_CODE = ("sh", "console", "bash", "shell"), ("", "text", "json", "html", "csv", "javascript")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``needs`` says what it can't be run without (``<!-- needs: ... -->`` on the line above)."""

    page: Path
    line: int
    language: str
    text: str
    needs: str = ""

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a shell block: its words, and the file that its output goes to."""

    words: tuple[str, ...]
    into: str | None = None


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
    """Return the commands of a shell block; comments and prompts go, ``&&``, ``;`` and ``|`` part them."""
    result = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="&|;>")
        lexer.commenters, lexer.whitespace_split = "#", True
        result += _parted(list(lexer))
    return result


def _parted(words: list[str]) -> list[Command]:
    result: list[Command] = []
    now: list[str] = []
    for word in [*words, ";"]:
        if word in ("&&", ";", "|", "&"):
            if now:
                into = now[now.index(">") + 1] if ">" in now else None
                result.append(Command(tuple(now[: now.index(">")] if ">" in now else now), into))
            now = []
        else:
            now.append(word)
    return result


def expanded(words: tuple[str, ...]) -> list[str]:
    """Return the words as a shell would hand them on: wildcards expanded, the dots of ``FILES...`` left out."""
    result = []
    for word in words:
        found = sorted(glob(word)) if re.search(r"[*?]", word) else []
        result += found or [word.removesuffix("...") if word.endswith("...") and word[0].isupper() else word]
    return result
