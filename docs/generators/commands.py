"""The commands with their arguments and options, from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from typer.main import get_command

from generators.markdown import code, table
from goodricke.cli import app


def page() -> str:
    """Return a section for each command."""
    return "\n".join(_section(name, command) for name, command in all_commands())


def all_commands() -> Iterator[tuple[str, Any]]:
    """Give all commands, also those of groups, as ``("goodricke alerts run", command)``, the program itself first."""
    root = get_command(app)
    yield "goodricke", root
    yield from _subcommands("goodricke", root)


def _subcommands(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    for part, command in group.commands.items():
        if not command.hidden:
            yield f"{name} {part}", command
            if hasattr(command, "commands"):
                yield from _subcommands(f"{name} {part}", command)


def options_of(command: Any) -> list[Any]:
    """Return the options that a command shows."""
    return [p for p in command.params if p.param_type_name == "option" and not getattr(p, "hidden", False)]


def _section(name: str, command: Any) -> str:
    level = "#" * (1 + len(name.split()))
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    first, *others = _help(command.help or "")
    parts = [f"{'##' if name == 'goodricke' else level} {name}", first]
    parts += [f"```text\n{_usage(name, command, arguments)}\n```", *others]
    if arguments:
        parts.append(table(["argument", "meaning"], [[code(_metavar(p)), _text(p.help)] for p in arguments]))
    if options := options_of(command):
        parts.append(table(["option", "default", "meaning"], [_option(p) for p in options]))
    return "\n\n".join(parts) + "\n"


def _usage(name: str, command: Any, arguments: list[Any]) -> str:
    words = [name, *(["[OPTIONS]"] if options_of(command) else [])]
    words += [_metavar(p) if p.required else f"[{_metavar(p)}]" for p in arguments]
    return " ".join(words + (["COMMAND [ARGS]..."] if hasattr(command, "commands") else []))


def _metavar(argument: Any) -> str:
    return (argument.metavar or argument.name).upper() + ("..." if argument.nargs == -1 else "")


def _option(option: Any) -> list[str]:
    names = " / ".join(map(code, [*option.opts, *option.secondary_opts]))
    kind = "" if option.is_flag else f" {_kind(option)}"
    default = option.default
    unset = default is None or default is False or callable(default)
    shown = "" if unset else getattr(default, "value", default)
    more = " (repeatable)" if option.multiple and "repeatable" not in (option.help or "") else ""
    meaning = ("**required**. " if option.required else "") + _text(option.help) + more
    return [names + kind, code("on" if shown is True else shown), meaning]


def _kind(option: Any) -> str:
    """Return the kind of an option's value in a word."""
    if option.metavar:
        return option.metavar
    kind = next(k for k in (*get_args(option.type_descriptor.annotation), option.type_descriptor.annotation) if k)
    if issubclass(kind, Enum):
        return ", ".join(str(k.value) for k in kind)
    return {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(kind, kind.__name__.upper())


def _help(text: str) -> list[str]:
    """Return the paragraphs of a command's help: the first as prose, aligned examples as they are."""
    first, *others = re.split(r"\n\s*\n", text.replace("\x08", "").strip())
    return [_text(first), *(_paragraph(p) for p in others)]


def _paragraph(text: str) -> str:
    aligned = re.search(r"\S {2,}\S", text) or all(line.startswith("goodricke ") for line in text.splitlines())
    return f"```text\n{_plain(text)}\n```" if aligned else _text(text)


def _text(text: str | None) -> str:
    """Return help as Markdown: Rich's bold becomes code, stars and underscores are escaped."""
    marked = re.sub(r"\[bold\](.*?)\[/\w*\]", r"`\1`", text or "").replace("\\[", "[")
    marked = re.sub(r"(?<![\w`-])(--[a-z][a-z-]+)", r"`\1`", marked) if "`" not in marked else marked
    outside = re.split(r"(`[^`]*`)", marked)
    return "".join(p if p.startswith("`") else re.sub(r"([*_<\[])", r"\\\1", p) for p in outside)


def _plain(text: str) -> str:
    return re.sub(r"\[/?(bold)?\]", "", text).replace("\\[", "[")
