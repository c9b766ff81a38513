"""The command-line reference: every command, from the help text of the command itself."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import typer.main

from not_so_clevr import cli, results
from not_so_clevr.results import tables

PROGRAM = "not-so-clevr"


def text() -> str:
    """Returns a section for each command: its help, arguments, options and examples."""
    return "\n".join(_section(name, each) for name, each in _commands(PROGRAM, _main()))


def _main() -> Any:
    return typer.main.get_command(cli.app)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yields the name of each command that does something, and the command."""
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for word, each in below.items():
        yield from _commands(f"{name} {word}", each)


def _section(name: str, command: Any) -> str:
    own = [each for each in command.params if each.name != "help"]
    usage = [name, *(_usage(each) for each in own if each.required), "[OPTIONS]"]
    usage = usage[: len(usage) - all(each.required for each in own)]
    parts = [f"## {name}", command.help, _code([" ".join(usage)])]

    for panel, group in results.grouped(own, _panel).items():
        parts.append(tables.markdown([panel, "", "Default"], map(_row, group)))
    _, *examples = command.epilog.split("\n\n")
    return "\n\n".join([*parts, "Examples:", _code(examples)]).replace("\n\n\n", "\n\n") + "\n"


def _code(lines: list[str]) -> str:
    return "\n".join(["```sh", *lines, "```"])


def _panel(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    return str(parameter.rich_help_panel or "Options") if is_option else "Arguments"


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _metavar(parameter)
    return f"{parameter.opts[0]} {_metavar(parameter)}"


def _metavar(parameter: Any) -> str:
    text = str(parameter.metavar or parameter.name.upper())
    return f"{{{text.replace('|', ',')}}}" if "|" in text else text  # A | would end the cell.


def _row(parameter: Any) -> list[str]:
    names = [_metavar(parameter)]
    if parameter.param_type_name == "option":
        value = "" if parameter.is_flag else f" {_metavar(parameter)}"
        names = [f"{option}{value}" for option in parameter.opts]
    default = parameter.default
    if parameter.required:
        shown = "required"
    elif isinstance(default, str | int | float | pathlib.Path) and default is not False:
        shown = str(default)
    else:
        shown = ""
    return [", ".join(f"`{name}`" for name in names), parameter.help or "", shown]
