"""Requests that their instance did not take, or did not answer: whether they go to another."""

from __future__ import annotations

import structlog

from aether.domain.errors import NoCapacity
from aether.domain.instance import InstanceStatus
from aether.gateway.activator import Activator
from aether.gateway.call import Call
from aether.gateway.metrics import GatewayMetrics
from aether.gateway.places import Slot
from aether.gateway.reach import Reach
from aether.gateway.routes import RouteTable
from aether.http import LOST, Failure, FailureKind, Undelivered
from aether.ports.clock import Clock

log = structlog.get_logger()

_BARRED = {"key": "its worker's cluster key is another"}
"""What a proxy means by its refusal."""


class Retries:
    """Takes a call's place away from it when it may have another."""

    def __init__(
        self,
        routes: RouteTable,
        activator: Activator,
        metrics: GatewayMetrics,
        clock: Clock,
        reach: Reach,
    ) -> None:
        self._routes = routes
        self._reach = reach
        self._activator = activator
        self._metrics = metrics
        self._clock = clock

    def undelivered(self, call: Call, why: Undelivered) -> None:
        """The instance did not get to see the request: another may have it, whatever the method.

        Raises NoCapacity where the only ones left take none from this gateway.
        """
        slot, call.slot = call.slot, None
        if slot is None:
            return
        if why.detail == "full":
            self._activator.refused_full(slot)
            return
        instance = slot.instance
        if why.kind == "barred":
            news = self._reach.barred(slot, why.detail)
            self._activator.release(slot)
            if news:
                return
            raise NoCapacity(
                f"instance {instance.instance_id} takes no request from this gateway: {_BARRED[why.detail]}"
                if why.detail in _BARRED
                else f"TLS with the proxy of instance {instance.instance_id} was not agreed on: {why.detail}",
                hint="AETHER_CLUSTER_KEY and AETHER_HOP_CERT, _KEY and _CA have to fit those of its worker",
            )
        if why.kind == "refused":
            self._routes.lose(slot)
        elif why.detail == LOST:
            self._reach.silent(slot)
        else:
            self._reach.refused(slot)
        self._activator.release(slot)
        log.info(
            "instance not reached, trying another",
            call_id=call.call_id,
            instance=instance.instance_id,
            reason=why.detail,
            draining=instance.status is InstanceStatus.DRAINING,
        )

    def unanswered(self, call: Call, failure: Failure) -> bool:
        """Whether a request that the instance may have seen is to be sent again.

        At most once, and within the function's budget. That the method is idempotent, that the body can be
        sent again and that no byte of an answer was passed on is the relay's to know (`may_retry`).
        """
        slot = call.slot
        if slot is not None and failure.detail == LOST:
            self._reach.silent(slot)
        if (
            not failure.may_retry
            or slot is None
            or call.retried
            or not self._within_budget(call, slot, failure)
        ):
            return False
        call.slot, call.retried, call.avoid = None, True, slot
        if failure.detail == "ended":
            # Its proxy says that the machine is gone: the registry will tell in a moment.
            self._routes.lose(slot)
        elif failure.kind is FailureKind.BROKEN and failure.detail != LOST:
            self._reach.refused(slot)
        self._activator.release(slot)
        log.info("request sent again", call_id=call.call_id, instance=slot.instance.instance_id)
        return True

    @staticmethod
    def broke(slot: Slot) -> None:
        """A request on it has failed: how many ran there is what tells whether another is to blame."""
        slot.company = max(slot.company, slot.in_flight)

    def _within_budget(self, call: Call, slot: Slot, failure: Failure) -> bool:
        places = self._routes.places(call.function.id)
        now_s = self._clock.monotonic()
        if places is None or call.deadline.expired(now_s):
            return False
        if failure.kind is FailureKind.UNANSWERED:
            # An instance breaks by what it runs. Of several requests most are innocent; a single one is the
            # most likely cause, and would end the next instance too.
            self.broke(slot)
            if slot.company == 1:
                return False
        allowed = places.budget.take(places.given, now_s)
        self._metrics.retried(call.function.id, allowed=allowed)
        return allowed
