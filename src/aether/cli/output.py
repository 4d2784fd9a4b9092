"""What commands print: data on stdout, everything said to people on stderr.

Colour and spinners only on a terminal, and no colour with NO_COLOR set (no-color.org).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, clipboard
    r"|\x1b\[(?![0-9;]*m)[0-?]*[ -/]*[@-~]"  # cursor, screen, modes
    r"|\x1b(?!\[[0-9;]*m)"  # all other sequences lose their start
    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]"
)
"""Everything that moves a terminal's cursor or worse; tab, newline and colours are let through."""

KIB = 1024


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, never wrapped or cut: a pipe gets what a terminal shows."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for number, row in enumerate((header, *rows)):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print(bold(line) if number == 0 else line)


def print_list(
    found: Sequence[Any], header: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, json: bool
) -> None:
    """What the API found: as its JSON, as a table, or, where there is none, a sentence that says so."""
    if json:
        print_json(found)
    elif found:
        print_table(header, rows)
    else:
        say(empty)


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """One field a line."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        print(f"{bold(name.ljust(width))}  {value}")


def say(text: str) -> None:
    """Tell people something that is not data."""
    print(text, file=sys.stderr)


def bold(text: str, stream: TextIO | None = None) -> str:
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[1m{text}\x1b[0m"


def printable(text: str) -> str:
    """Text that strangers wrote, without what could take over a terminal."""
    return CONTROL.sub("", text)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner while something takes its time; nothing at all when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and pipes never need it

    with Console(stderr=True).status(what):
        yield


def size(count_bytes: float) -> str:
    """For example `1.5 MB`; powers of 1024, as file managers have it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count_bytes < KIB:
            return f"{count_bytes:.0f} {unit}" if unit == "B" else f"{count_bytes:.1f} {unit}"
        count_bytes /= KIB
    return f"{count_bytes:.1f} TB"


def local_time(timestamp: str) -> str:
    """An RFC 3339 time as the reader's own, to the second."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(timestamp: str, now: datetime | None = None) -> str:
    """How long ago, in the largest unit: `3m`, `5h`, `12d`."""
    passed_s = ((now or datetime.now(UTC)) - datetime.fromisoformat(timestamp)).total_seconds()
    for unit, length_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed_s >= length_s:
            return f"{passed_s // length_s:.0f}{unit}"
    return f"{max(0, passed_s):.0f}s"
