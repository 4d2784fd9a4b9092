"""Play scenarios: `python -m tests.faults [NAME...] [--list] [--out FILE]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.cluster.able import why_not
from tests.faults.playing import play_all
from tests.faults.report import table, write
from tests.faults.scenarios import SCENARIOS, Scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all without any")
    parser.add_argument("--list", action="store_true", help="tell the scenarios' names")
    parser.add_argument("--out", type=Path, default=Path("build/faults.json"))
    parser.add_argument("--logs", type=Path, default=Path("build/faults"), help="of platforms that failed")
    given = parser.parse_args()
    if given.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:24} {scenario.about}")
        return 0
    unknown = set(given.names) - {s.name for s in SCENARIOS}
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))} (--list tells them)")
    chosen = [s for s in SCENARIOS if not given.names or s.name in given.names]
    chosen = _possible(chosen)
    if not chosen:
        return 1
    began_s = time.monotonic()
    results = play_all(chosen, given.logs)
    write(results, given.out)
    failed = [r["name"] for r in results if r["problems"]]
    print(f"\n{table(results)}\n")
    ended = f"failed: {', '.join(failed)}" if failed else "nothing lost, nothing wrong"
    print(f"{len(results)} scenarios in {time.monotonic() - began_s:.0f} s: {ended}")
    return 1 if failed else 0


def _possible(chosen: list[Scenario]) -> list[Scenario]:
    """Those that this user can play on this machine; the others are told."""
    reason = why_not("make test-faults") if any(s.cluster for s in chosen) else ""
    if not reason:
        return chosen
    left_out = ", ".join(s.name for s in chosen if s.cluster)
    print(f"not played: {left_out}: {reason}", file=sys.stderr)
    return [s for s in chosen if not s.cluster]


if __name__ == "__main__":
    sys.exit(main())
