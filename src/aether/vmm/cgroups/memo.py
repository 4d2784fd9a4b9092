"""A file in the run directory that says where groups were made, for a later process to find them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

MEMO = "cgroups.json"

Base = dict[str, Path]
"""The group around all of a platform's, by controller."""


def read_bases(run_dir: Path) -> list[Base]:
    """Empty when there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        found = json.loads((run_dir / MEMO).read_text())
        return [{str(name): Path(path) for name, path in base.items()} for base in found]
    return []


def write_bases(run_dir: Path, bases: Sequence[Base]) -> None:
    """Whole or not at all; without any, no file stays."""
    memo = run_dir / MEMO
    if not bases:
        memo.unlink(missing_ok=True)
        return
    new = memo.with_suffix(".new")
    new.write_text(json.dumps([{name: str(path) for name, path in base.items()} for base in bases]))
    new.replace(memo)
