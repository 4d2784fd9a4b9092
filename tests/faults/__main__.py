"""Play scenarios: `python -m tests.faults [NAME...] [--list] [--out FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import uvloop
from tests.faults.report import result_of, table, write
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.stage import Stage


async def played(scenario: Scenario, directory: Path) -> dict[str, Any]:
    """The scenario's result. An error of the scenario itself is a problem like any other."""
    stage = Stage(scenario.name, directory)
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(scenario.within_s):
            await scenario.play(stage)
    except TimeoutError:
        stage.problems.append(f"not over within {scenario.within_s} s")
    except Exception as error:  # noqa: BLE001 - the others are to be played still
        traceback.print_exc()
        stage.problems.append(f"{type(error).__name__}: {error}")
    return result_of(stage, time.monotonic() - began_s)


def play(scenarios: list[Scenario], keep: Path | None) -> list[dict[str, Any]]:
    results = []
    for scenario in scenarios:
        print(f"{scenario.name}: {scenario.about}", file=sys.stderr, flush=True)
        # Short: sockets live below it.
        directory = Path(tempfile.mkdtemp(prefix="af-"))
        try:
            result = uvloop.run(played(scenario, directory))
            if keep is not None or result["problems"]:
                _keep_log(directory, (keep or Path("build/faults")) / f"{scenario.name}.log")
        finally:
            shutil.rmtree(directory)
        results.append(result)
        print(table([result]), file=sys.stderr, flush=True)
    return results


def _keep_log(directory: Path, where: Path) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(directory / "platform.log", where)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all without any")
    parser.add_argument("--list", action="store_true", help="tell the scenarios' names")
    parser.add_argument("--out", type=Path, default=Path("build/faults.json"))
    parser.add_argument("--keep-logs", type=Path, help="where the platforms' logs go; else only failed ones'")
    given = parser.parse_args()
    if given.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:24} {scenario.about}")
        return 0
    unknown = set(given.names) - {s.name for s in SCENARIOS}
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))} (--list tells them)")
    chosen = [s for s in SCENARIOS if not given.names or s.name in given.names]
    began_s = time.monotonic()
    results = play(chosen, given.keep_logs)
    write(results, given.out)
    failed = [r["name"] for r in results if r["problems"]]
    print(f"\n{table(results)}\n")
    ended = f"failed: {', '.join(failed)}" if failed else "nothing lost, nothing wrong"
    print(f"{len(results)} scenarios in {time.monotonic() - began_s:.0f} s: {ended}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
