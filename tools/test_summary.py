"""Adds up the results of all test runs, for the last line of a build's log.

Usage: python tools/test_summary.py RESULTS.xml...
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def summary(files: list[Path]) -> tuple[int, int, int]:
    """Passed, failed and skipped, over JUnit files."""
    ran = failed = skipped = 0
    for file in files:
        for suite in ET.parse(file).getroot().iter("testsuite"):  # noqa: S314 - our own pytest wrote it
            ran += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    return ran - failed - skipped, failed, skipped


if __name__ == "__main__":
    passed, failed, skipped = summary([Path(name) for name in sys.argv[1:]])
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
