"""The `not-so-clevr` command."""

from not_so_clevr.cli.commands import main

__all__ = ["main"]
