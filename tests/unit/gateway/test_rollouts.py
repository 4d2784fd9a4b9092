"""What is told of a newest version whose starts fail."""

from __future__ import annotations

from tests.unit.gateway.conftest import function

from aether.domain.job import JobReply
from aether.domain.rollout import RolloutStatus
from aether.gateway.rollouts import Rollouts

HELLO = function()


def failed(error: str, console: str = "") -> JobReply:
    revision = HELLO.version.revision
    return JobReply("req-1", HELLO.id, revision, None, error=error, console_tail=console)


def test_a_reason_with_a_console_is_not_replaced_by_one_without():
    rollouts = Rollouts()
    for reply in (failed("no sign of life"), failed("nothing listened", "oh dear"), failed("again")):
        rollouts.failed(HELLO, reply)
    rollout = rollouts.of(HELLO)
    assert rollout.status is RolloutStatus.FAILED
    assert (rollout.reason, rollout.console) == ("nothing listened", "oh dear")
    rollouts.failed(HELLO, failed("it exited", "something else"))
    assert rollouts.of(HELLO).reason == "it exited"
