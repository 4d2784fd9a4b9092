"""What befalls hosts of workers: they are killed, cut off, stopped and drained."""

from __future__ import annotations

import asyncio
import time

from tests.api import until
from tests.faults.cluster.functions import FUNCTIONS
from tests.faults.cluster.play import LEASE_S, OUTAGE_S, START_S, Play

AGAIN_WITHIN_S = LEASE_S + START_S
NOTICED_WITHIN_S = 3.0
"""Connections to a host that went without a word are given up by then."""
DRAINED_WITHIN_S = 20.0
AFTER_S = 2.0


async def kill(play: Play) -> None:
    """kill -9 of a worker; what ran on it alone is served again when its lease is over, by another."""
    async with play.load():
        number = victim(play)
        worker = play.cluster.workers[number]
        gone = play.gone_with(worker.name)
        async with play.killing():
            since_s = time.monotonic()
            await worker.kill()
        expect_unserved(play, gone, since_s)
        await play.served_again(gone, since_s, AGAIN_WITHIN_S)
        worker.start()
        await play.whole_again()
        await asyncio.sleep(AFTER_S)


async def cut_off(play: Play) -> None:
    """A worker's host is cut off the network for 20 s, without a word, and healed."""
    async with play.load():
        number = victim(play)
        host = play.cluster.hosts[number]
        gone, partly = play.gone_with(host.name), play.partly_on(host.name)
        since_s = time.monotonic()
        host.cut()
        try:
            expect_unserved(play, gone, since_s)
            # What was on the way to it is not known to have been delivered.
            play.expect(partly, "instance_failed", since_s, NOTICED_WITHIN_S, NOTICED_WITHIN_S)
            await play.served_again(gone, since_s, AGAIN_WITHIN_S)
            await asyncio.sleep(since_s + OUTAGE_S - time.monotonic())
        finally:
            host.heal()
        await play.whole_again()
        await asyncio.sleep(AFTER_S)


async def stop(play: Play) -> None:
    """SIGSTOP of a worker for 20 s: it takes connections, and answers none."""
    async with play.load():
        number = victim(play)
        worker = play.cluster.workers[number]
        gone, partly = play.gone_with(worker.name), play.partly_on(worker.name)
        since_s = time.monotonic()
        worker.pause()
        try:
            expect_unserved(play, gone, since_s)
            # Its host goes on taking connections: who waits for an answer learns nothing until then.
            for code in ("instance_failed", "deadline_exceeded"):
                play.expect(partly, code, since_s, AGAIN_WITHIN_S, AGAIN_WITHIN_S / 2)
            await play.served_again(gone, since_s, AGAIN_WITHIN_S)
            await asyncio.sleep(since_s + OUTAGE_S - time.monotonic())
        finally:
            worker.resume()
        await play.whole_again()
        await asyncio.sleep(AFTER_S)


async def drain(play: Play) -> None:
    """`aether worker drain`: everything moves elsewhere, the worker ends, and nobody notices."""
    async with play.load():
        number = victim(play)
        worker = play.cluster.workers[number]
        since_s = time.monotonic()
        await play.cluster.aether("worker", "drain", worker.name)

        async def ended() -> bool:
            await asyncio.sleep(0)
            return not worker.runs

        await until(ended, DRAINED_WITHIN_S, "the drained worker has ended")
        play.stage.facts["drained_after_s"] = round(time.monotonic() - since_s, 1)
        play.stage.check(await worker.ended() == 0, f"the drained worker ended with {await worker.ended()}")
        await asyncio.sleep(AFTER_S)
        worker.start()
        await play.whole_again()


def victim(play: Play) -> int:
    """The worker with most functions that run nowhere else, and one at least."""
    names = [worker.name for worker in play.cluster.workers]
    number = max(range(len(names)), key=lambda n: len(play.gone_with(names[n])))
    assert play.gone_with(names[number]), f"no function runs on one worker only: {play.hosts}"
    assert len(play.gone_with(names[number])) < len(FUNCTIONS), "all functions run on one worker"
    play.stage.facts |= {"victim": names[number], "gone": play.gone_with(names[number])}
    return number


def expect_unserved(play: Play, functions: list[str], since_s: float) -> None:
    """Functions that ran on that host only may fail until they are served again."""
    for code in ("instance_failed", "no_capacity", "deadline_exceeded"):
        play.expect(functions, code, since_s, AGAIN_WITHIN_S, AGAIN_WITHIN_S)
