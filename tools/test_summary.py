"""Adds up the results of all test runs, for the last lines of a build's log.

Usage: python tools/test_summary.py [--faults FAULTS.json] RESULTS.xml...
"""

from __future__ import annotations

import argparse
import json
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


def of_faults(file: Path) -> str:
    """The faults suite in a line."""
    scenarios = json.loads(file.read_text())["scenarios"]
    sums = {
        name: sum(s[name] for s in scenarios)
        for name in ("sent", "answered", "platform_errors", "lost", "wrong", "cut")
    }
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sums.items())
    return f"faults: {len(scenarios)} scenarios, {told}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--faults", type=Path)
    given = parser.parse_args()
    if given.faults:
        print(of_faults(given.faults))
    passed, failed, skipped = summary(given.results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
