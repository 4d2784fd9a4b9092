"""Plays scenarios: one after the other, and beside them those that take time rather than work."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import uvloop
from tests.faults.report import result_of, table
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


def play(names: list[str], keep: Path) -> list[dict[str, Any]]:
    """One after the other. The platforms' logs of those that fail stay in `keep`."""
    results = []
    for scenario in (scenario for scenario in SCENARIOS if scenario.name in names):
        # Short: sockets live below it.
        directory = Path(tempfile.mkdtemp(prefix="af-"))
        try:
            result = uvloop.run(played(scenario, directory))
            if result["problems"]:
                _keep_log(directory, keep / f"{scenario.name}.log")
        finally:
            shutil.rmtree(directory)
        results.append(result)
        print(f"{scenario.name}: {scenario.about}\n{table([result])}", file=sys.stderr, flush=True)
    return results


def play_sharing(kind: str, names: list[str], keep: Path) -> list[dict[str, Any]]:
    """The same for scenarios that share a cluster."""
    from tests.faults.cluster import playing  # noqa: PLC0415 - not where no cluster is asked for

    scenarios = [scenario for scenario in SCENARIOS if scenario.name in names]
    return uvloop.run(playing.play_sharing(kind, scenarios, keep))


def play_all(chosen: list[Scenario], keep: Path) -> list[dict[str, Any]]:
    """In the order of the list: those that go aside in a process of their own, beside the others.

    Those that share a cluster come after them, so that nothing else disturbs it.
    """
    alone = [[s.name for s in chosen if s.aside is aside and not s.cluster] for aside in (True, False)]
    kinds = dict.fromkeys(s.cluster for s in chosen if s.cluster)
    sharing = {kind: [s.name for s in chosen if s.cluster == kind] for kind in kinds}
    with ProcessPoolExecutor(len(alone), mp_context=get_context("spawn")) as processes:
        results = _results(processes.submit(play, names, keep) for names in alone if names)
        for kind, names in sharing.items():
            results |= _results([processes.submit(play_sharing, kind, names, keep)])
    return [results[scenario.name] for scenario in chosen]


def _results(playing: Iterable[Future[list[dict[str, Any]]]]) -> dict[str, dict[str, Any]]:
    """By name, when all of them are over."""
    return {result["name"]: result for lane in list(playing) for result in lane.result()}


def _keep_log(directory: Path, where: Path) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(directory / "platform.log", where)
