"""Requests that break the instance they run on, beside requests that don't."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from tests.faults.load.judge import CUT
from tests.faults.stage import Platform, Stage
from tests.faults.stage.code import echo

CONCURRENCY = 8
TIMES = 2
"""How often an instance is broken."""
TRIES = 2
"""A GET that an instance broke under is sent to another one, once, and breaks that too."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How an instance breaks, and what of it is to be told.

    `simulated` is the value of `x-simulated-fault`; `program` the body of a Node function of the request,
    the response, and the answer that it should give. `takes_others`: those that run beside it fail as well.
    """

    simulated: str
    program: str
    says: str
    takes_others: bool = True
    blocks: bool = False
    """It looks like hanging until it is over, which takes long under emulation."""
    mid_answer: bool = False
    """The answer had begun: whoever breaks it gets a cut one, and the reason is in the record."""


_HALF = (
    'response.writeHead(200, {"content-length": answer.length}); '
    "response.write(answer.slice(0, answer.length / 2), () => setTimeout(() => { %s }, 20));"
)
FAULTS = {
    "hang": Fault("hang", "for (;;) {}", r"hung|no sign of life"),
    "out-of-memory": Fault(
        "oom",
        "const kept = []; for (;;) kept.push(Buffer.alloc(4 << 20, 1));",
        r"ran out of memory",
        blocks=True,
    ),
    "exit-mid-answer": Fault("exit_mid_answer", _HALF % "process.exit(1)", r"exited", mid_answer=True),
    "garbage": Fault(
        "garbage", r'request.socket.end("\x00\x01 no HTTP\r\n\r\n");', r"malformed HTTP|garbage"
    ),
    "close-mid-body": Fault(
        "cut", _HALF % "request.socket.destroy()", "", takes_others=False, mid_answer=True
    ),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """What differs between simulated instances and microVMs."""

    deadline_s: float
    rate: float
    instances: int
    times: int
    before_s: float
    back_within_s: float
    unresponsive_after_s: float


SIMULATED = Pace(
    deadline_s=10, rate=60, instances=3, times=TIMES, before_s=4, back_within_s=15, unresponsive_after_s=2
)
MICROVM = Pace(
    deadline_s=40, rate=15, instances=1, times=1, before_s=3, back_within_s=60, unresponsive_after_s=5
)


def broken_by(name: str) -> Callable[[Stage], Awaitable[None]]:
    """Over simulated instances."""

    async def play(stage: Stage) -> None:
        async with stage.platform() as platform:
            await platform.deploy("app", behave={"boot_s": 0.2, "respond_s": 0.1}, **_limits(SIMULATED))
            await _play(stage, platform, name, SIMULATED)

    play.__doc__ = f"Instances that {_WORDS[name]}; what runs on them gets an error that says so."
    return play


def broken_by_microvm(name: str) -> Callable[[Stage], Awaitable[None]]:
    """On microVMs."""

    async def play(stage: Stage) -> None:
        misbehave = (
            "const misbehave = (request, response, answer, go_on) => "
            f'{{ if (!request.headers["x-simulated-fault"]) return go_on(); {FAULTS[name].program} }};'
        )
        async with stage.platform(simulated=False) as platform:
            pace = replace(MICROVM, unresponsive_after_s=60) if FAULTS[name].blocks else MICROVM
            await platform.deploy("app", echo("1", misbehave), **_limits(pace))
            await _play(stage, platform, name, pace)

    play.__doc__ = f"The same on microVMs: functions that {_WORDS[name]}."
    return play


_WORDS = {
    "hang": "hang",
    "out-of-memory": "run out of memory",
    "exit-mid-answer": "exit in the middle of an answer",
    "garbage": "answer garbage",
    "close-mid-body": "close the connection in the middle of a body",
}


def _limits(pace: Pace) -> dict[str, float]:
    return {
        "timeout_s": pace.deadline_s,
        "max_concurrency": CONCURRENCY,
        "min_instances": pace.instances,
        "max_instances": pace.instances + 2,
        "unresponsive_after_s": pace.unresponsive_after_s,
    }


async def _play(stage: Stage, platform: Platform, name: str, pace: Pace) -> None:
    fault = FAULTS[name]
    _expect(stage, fault, pace.times)
    stage.ledger.timed = "app"
    await platform.until(lambda: _whole(platform, pace.instances, set()), 90, "all instances")
    header = (("x-simulated-fault", fault.simulated),)
    with (
        stage.client(platform, "app", pace.deadline_s) as client,
        stage.client(platform, "app", pace.deadline_s, headers=header) as poison,
    ):
        client.phase = "warming up"
        await client.burst(4)
        client.phase = "before"
        await client.open_loop(pace.rate, pace.before_s)
        client.phase = poison.phase = "during"
        back_s = 0.0
        async with client.running(pace.rate):
            for _ in range(pace.times):
                before = await _ready(platform) if fault.takes_others else set()
                for _ in range(2):  # a GET and a POST
                    await poison.once()
                back_s = max(
                    back_s,
                    await platform.until(
                        lambda gone=before: _whole(platform, pace.instances, gone),
                        pace.back_within_s,
                        "all instances again, and not the same",
                    ),
                )
            await asyncio.sleep(1)
    stage.facts["whole_again_after_s"] = round(back_s, 1)
    stage.check(
        not [j for j in stage.ledger.answered() if j.request.headers],
        "requests that were to break their instance were answered",
    )


def _expect(stage: Stage, fault: Fault, times: int) -> None:
    """What the requests that break it get, and at most all that run beside one on the same instance."""
    broken = times * (TRIES + 1)
    if fault.mid_answer:
        stage.expect(CUT, at_most=times * 2)
    if fault.takes_others:
        stage.expect("instance_failed", at_most=broken * CONCURRENCY, says=fault.says)
    elif not fault.mid_answer:
        stage.expect("instance_failed", at_most=times * 2, says=fault.says)


async def _ready(platform: Platform) -> set[str]:
    return {i["instance_id"] for i in await platform.instances("app") if i["status"] == "ready"}


async def _whole(platform: Platform, count: int, before: set[str]) -> bool:
    """So many are ready, and not all of those `before`: what broke is replaced."""
    ready = await _ready(platform)
    return len(ready) >= count and not (before and before <= ready)
