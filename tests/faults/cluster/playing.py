"""Plays the scenarios of one kind on the cluster that they share."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster.cluster import Cluster
from tests.faults.cluster.functions import FUNCTIONS
from tests.faults.cluster.play import Play
from tests.faults.cluster.shared import Shared
from tests.faults.load import Ledger, Verdict
from tests.faults.report import result_of, table
from tests.faults.stage import Stage, bad_lines

if TYPE_CHECKING:
    from tests.faults.scenarios import Scenario


async def play_sharing(kind: str, scenarios: Sequence[Scenario], keep: Path) -> list[dict[str, Any]]:
    """One after the other; the logs of those that fail stay in a folder of `keep`."""
    results = []
    async with Shared(kind) as shared:
        for scenario in scenarios:
            began_s = time.monotonic()
            stage = await _played(scenario, shared, keep)
            if scenario is scenarios[-1]:
                stage.problems += await shared.give_up()
            result = result_of(stage, time.monotonic() - began_s)
            results.append(result)
            print(f"{scenario.name}: {scenario.about}\n{table([result])}", file=sys.stderr, flush=True)
    return results


async def _played(scenario: Scenario, shared: Shared, keep: Path) -> Stage:
    """An error of the scenario itself is a problem like any other."""
    stage = Stage(scenario.name, Path())
    try:
        async with asyncio.timeout(scenario.within_s):
            cluster = await shared.cluster()
            seen = Seen(cluster)
            await scenario.play(Play(stage, cluster, shared))
            seen.judge(stage)
    except TimeoutError:
        stage.problems.append(f"not over within {scenario.within_s} s")
    except Exception as error:  # noqa: BLE001 - the others are to be played still
        traceback.print_exc()
        stage.problems += [f"{type(one).__name__}: {one}" for one in _leaves(error)]
    if shared.now is not None and (stage.problems or stage.ledger.sums().lost or stage.ledger.sums().wrong):
        seen.keep(keep / scenario.name)
        failed = "\n".join(_told(stage.ledger))
        (keep / scenario.name / "not-answered.txt").write_text(failed + "\n")
        stage.problems += await _mended(shared)
    return stage


def _leaves(error: Exception) -> list[Exception]:
    """What is in it, of a group: the load's tasks make one."""
    if isinstance(error, ExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _told(ledger: Ledger) -> Iterable[str]:
    """A line for each request that was not answered, in the order in which they were sent."""
    began_s = min((judged.seen.sent_s for judged in ledger.all if judged.phase == "during"), default=0.0)
    for judged in sorted(ledger.all, key=lambda j: j.seen.sent_s):
        if judged.verdict is not Verdict.ANSWERED:
            request, seen = judged.request, judged.seen
            when = f"{seen.sent_s - began_s:7.2f} s, for {judged.took_ms:6.0f} ms"
            yield f"{when}: {request.method} {request.function} {seen.status} {judged.code} {judged.reason}"


async def _mended(shared: Shared) -> list[str]:
    """The next scenario gets a cluster that is whole: this one, or a new one."""
    try:
        if await shared.whole():
            return []
    except (RuntimeError, AssertionError):
        pass
    await shared.give_up()
    return ["the cluster was not whole after it"]


class Seen:
    """Logs and journal of a cluster, from where a scenario began."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._logs = {process.log_file: _size(process.log_file) for process in cluster.processes}
        self._received = _size(cluster.journal)

    def judge(self, stage: Stage) -> None:
        """What the logs and what functions received say of it."""
        for file, since in self._logs.items():
            stage.problems += [f"{file.stem}'s log has: {line}" for line in bad_lines(_text(file, since))]
        if self._cluster.journal.exists():
            names = tuple(f"{function.name}-" for function in FUNCTIONS)
            paths = _text(self._cluster.journal, self._received).split()
            tokens = (path.removeprefix("/").partition("?")[0] for path in paths)
            own = {judged.request.token for judged in stage.ledger.all}
            # A worker that was stopped reads requests of another scenario later; they are that one's.
            stage.ledger.compare(token for token in tokens if token.startswith(names) and token in own)

    def keep(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, since in self._logs.items():
            (folder / file.name).write_text(_text(file, since))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _text(file: Path, since: int) -> str:
    with file.open("rb") as opened:
        opened.seek(since)
        return opened.read().decode(errors="replace")
