"""Commands that have to work."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def run(command: str | Sequence[str], *, may_fail: bool = False) -> str:
    """Its output. A string is split at blanks. Raises RuntimeError with what it said, unless it may fail."""
    words = command.split() if isinstance(command, str) else list(command)
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode and not may_fail:
        raise RuntimeError(f"{' '.join(words)}: {ran.stderr.strip() or ran.stdout.strip() or ran.returncode}")
    return ran.stdout
