"""What is told of a newest version whose starts fail."""

from __future__ import annotations

from tests.unit.gateway.conftest import function, version

from aether.domain.rollout import RolloutStatus
from aether.gateway.rollouts import Rollouts

HELLO = function()


def test_a_reason_with_a_console_is_not_replaced_by_one_without():
    rollouts = Rollouts()
    for reason, console in (("no sign of life", ""), ("nothing listened", "oh dear"), ("again", "")):
        rollouts.failed(HELLO, 1, reason, console)
    rollout = rollouts.of(HELLO)
    assert rollout.status is RolloutStatus.FAILED
    assert (rollout.reason, rollout.console) == ("nothing listened", "oh dear")
    rollouts.failed(HELLO, 1, "it exited", "something else")
    assert rollouts.of(HELLO).reason == "it exited"


def test_a_failure_takes_nothing_back_from_a_version_that_was_ready():
    config = function(revision=2, good=version(1))
    rollouts = Rollouts()
    rollouts.ready(config)
    rollouts.failed(config, 2, "the second that was started beside it", "")
    assert not rollouts.is_broken(config), "the row in SQL does not say yet that it is good"
