"""Which image a function's `code.ext4` was when it was fetched; kept beside the image."""

from __future__ import annotations

import json
from pathlib import Path

from aether.ports.code_store import CurrentCode

NAME = "current"


def read(folder: Path) -> CurrentCode | None:
    try:
        noted = json.loads((folder / NAME).read_text())
        return CurrentCode(str(noted["tag"]), str(noted["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(folder: Path, code: CurrentCode) -> None:
    """Whole, also when the process is killed meanwhile. What a lost machine makes of it is fetched again."""
    unfinished = folder / f".{NAME}.partial"
    unfinished.write_text(json.dumps({"tag": code.tag, "sha256": code.sha256}))
    unfinished.replace(folder / NAME)
