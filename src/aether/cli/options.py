"""What options look like, everywhere."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

PLAIN = Parameter(negative="", show_default=False)
"""No `--no-...` for flags; defaults are told in words, where they are worth telling."""

Json = Annotated[bool, Parameter(name="--json")]
"""The option of every command that prints data."""
