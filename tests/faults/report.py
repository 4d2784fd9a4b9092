"""What scenarios found, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.stage import Stage

_COLUMNS = (
    "sent",
    "answered",
    "platform_errors",
    "lost",
    "wrong",
    "cut",
    "p99_before_ms",
    "p99_during_ms",
    "seconds",
)
_TITLES = ("sent", "answered", "errors", "lost", "wrong", "cut", "p99 before", "p99 during", "seconds")


def result_of(stage: Stage, seconds: float) -> dict[str, Any]:
    """The scenario's entry in the result file."""
    sums = asdict(stage.ledger.sums())
    problems = [*stage.problems]
    if sums["sent"] != sums["answered"] + sums["platform_errors"] + sums["lost"]:
        problems.append("the sums don't add up")
    for name, judged in (("lost", sums["lost"]), ("wrong", sums["wrong"])):
        if judged:
            problems.append(f"{judged} {name}")
    if not sums["answered"]:
        problems.append("nothing was answered")
    return {"name": stage.name, **sums, **stage.facts, "seconds": round(seconds, 1), "problems": problems}


def write(results: list[dict[str, Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"scenarios": results}, indent=2) + "\n")


def table(results: list[dict[str, Any]]) -> str:
    """A line a scenario, and what was wrong below it."""
    width = max(len(r["name"]) for r in results)
    lines = [f"{'':{width}} " + "".join(f"{title:>11}" for title in _TITLES)]
    for result in results:
        lines.append(f"{result['name']:{width}} " + "".join(_cells(result)))
        lines += [f"{'':{width}}   ! {problem}" for problem in result["problems"]]
        if result["problems"]:
            lines += [f"{'':{width}}     {count} x {reason}" for reason, count in result["reasons"].items()]
    return "\n".join(lines)


def _cells(result: dict[str, Any]) -> Iterable[str]:
    for column in _COLUMNS:
        value = result[column]
        yield f"{'-' if value is None else value:>11}"
