"""TOML files as tables: what others published, and the grids of users."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

from not_so_clevr.checks import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(file: pathlib.Path) -> dict[str, Any]:
    """Returns the table that a TOML file holds.

    Raises:
        UserError: one sentence, if it is not TOML.
        OSError: one sentence, if it cannot be read.
    """
    try:
        return tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"Cannot read {file}: {reason}; expected a TOML file.") from error
    except (ValueError, RecursionError) as error:
        expected = 'expected lines such as model = "coordconv"'
        raise UserError(f"{file} is no TOML file: {error}; {expected}.") from error
