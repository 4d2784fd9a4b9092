"""Where each setting came from, and names that look like settings but are none."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

PREFIX = "AETHER_"
DOTENV = Path(".env")

OTHER_NAMES = frozenset({"AETHER_URL", "AETHER_KEY", "AETHER_PROFILE", "AETHER_DEBUG"})
"""Names that are ours, but set nothing of the platform."""

OPTIONS = {"keep_invocations_days": "--keep-invocations"}
"""Options that are not called as their setting is."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What set a setting; `name` is that of the option, variable or profile, and empty for a default."""

    kind: Literal["option", "environment", ".env", "profile", "file", "default"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


def read_dotenv() -> dict[str, str]:
    """What `.env` in the current directory sets, by names in capitals.

    Raises UnicodeDecodeError for a file that is not text, OSError for one that can't be read.
    """
    from dotenv import dotenv_values  # noqa: PLC0415 - comes with pydantic-settings, as slow to import

    if not DOTENV.is_file():
        return {}
    return {name.upper(): value for name, value in dotenv_values(DOTENV).items() if value}


def origins(
    names: Mapping[str, Iterable[str]], options: Iterable[str], dotenv: Mapping[str, str]
) -> dict[str, Origin]:
    """By field; `names` has the variables of each field, the one that counts first."""
    given = frozenset(options)
    environment = {name.upper() for name, value in os.environ.items() if value}
    return {field: _origin(field, tuple(names[field]), given, environment, dotenv) for field in names}


def unknown_names(known: Iterable[str], dotenv: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Variables with our prefix that nothing reads, each with what to say of it."""
    ours = {*known, *OTHER_NAMES}
    environment = (name.upper() for name in os.environ)
    for name in sorted({name for name in chain(environment, dotenv) if name.startswith(PREFIX)} - ours):
        # Without what all have in common: otherwise any name is close to any other.
        short = {one.removeprefix(PREFIX): one for one in ours if one.startswith(PREFIX)}
        close = difflib.get_close_matches(name.removeprefix(PREFIX), short, n=1)
        where = f" (in {DOTENV})" if name in dotenv else ""
        yield (
            name,
            f"there is no such setting{where}" + (f"; did you mean {short[close[0]]}?" if close else ""),
        )


def _origin(
    field: str,
    names: tuple[str, ...],
    options: frozenset[str],
    environment: set[str],
    dotenv: Mapping[str, str],
) -> Origin:
    if field in options:
        return Origin("option", OPTIONS.get(field, "--" + field.replace("_", "-")))
    for name in names:
        if name in environment:
            return Origin("environment", name)
    for name in names:
        if name in dotenv:
            return Origin(".env", name)
    return Origin("default")
