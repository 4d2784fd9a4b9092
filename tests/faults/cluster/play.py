"""What a scenario on a cluster is given, and what all of them look at."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.api import Api, archive, until
from tests.cluster.cluster import GATEWAY_PORT, Cluster
from tests.faults.cluster.functions import FUNCTIONS, hosts_of, ready_ids
from tests.faults.cluster.shared import Shared
from tests.faults.load import Cause, Client, Kill, Target, Verdict
from tests.faults.stage import Stage

BEFORE_S = 3.0
OUTAGE_S = 20.0
LEASE_S = 10.0
START_S = 2.5
"""Until the lease's end is noticed, and an instance asked for, booted (0.3 s) and known."""
WHOLE_WITHIN_S = 20.0
WORKS_WITHIN_S = 10.0
NOT_MORE_THAN_S = 5.0
"""How much later than it should be something is waited for, to tell how late it is."""
CREATED, NAME_TAKEN = 201, 409
_probes = itertools.count(1)


@dataclass
class Play:
    """One scenario on a whole cluster."""

    stage: Stage
    cluster: Cluster
    shared: Shared
    clients: list[Client] = field(default_factory=list)
    hosts: dict[str, set[str]] = field(default_factory=dict)
    """Where each function ran when the scenario began."""

    @property
    def api(self) -> Api:
        return self.cluster.api[0]

    # The load

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """On all functions, for as long as the block runs; its first seconds count as `before`."""
        self.hosts = await hosts_of(self.api)
        host = self.cluster.network.stores
        async with AsyncExitStack() as stack:
            for function in FUNCTIONS:
                target = Target(host, GATEWAY_PORT, f"/functions/{function.name}", function.deadline_s)
                client = Client(target, self.stage.ledger, function.name)
                stack.callback(client.close)
                self.clients.append(client)
                await stack.enter_async_context(client.running(function.rate))
            await asyncio.sleep(BEFORE_S)
            for client in self.clients:
                client.phase = "during"
            before = self.cluster.requests()
            yield
            self._check_gateways(before)

    @asynccontextmanager
    async def keeping_instances(self) -> AsyncIterator[None]:
        """Nothing that is warm ends in the block, but for what a function has too much of."""
        before = await ready_ids(self.api)
        yield
        after = await ready_ids(self.api)
        for function in FUNCTIONS:
            kept = len(before[function.name] & after[function.name])
            ended = f"of {len(before[function.name])} instances of {function.name} {kept} are left"
            self.stage.check(kept >= min(function.instances, len(before[function.name])), ended)

    def _check_gateways(self, before: dict[str, int]) -> None:
        """Both carried the load."""
        through = {name: count - before[name] for name, count in self.cluster.requests().items()}
        self.stage.facts["through"] = through
        self.stage.check(all(through.values()), f"one gateway had nothing to do: {through}")

    # What a scenario did

    @asynccontextmanager
    async def killing(self) -> AsyncIterator[None]:
        """What runs in the process that the block kills is cut, as far as it ran there then."""
        since_s = time.monotonic()
        yield
        self.stage.ledger.kills.append(Kill(since_s, time.monotonic()))

    def gone_with(self, worker: str) -> list[str]:
        """The functions that ran on that worker only."""
        return [name for name, hosts in self.hosts.items() if hosts == {worker}]

    def partly_on(self, worker: str) -> list[str]:
        return [name for name, hosts in self.hosts.items() if worker in hosts and len(hosts) > 1]

    def expect(
        self, functions: list[str], code: str, since_s: float, within_s: float, seconds: float
    ) -> None:
        """Errors of requests to these functions, sent in so many seconds, at most as many as that makes."""
        for function in (f for f in FUNCTIONS if f.name in functions):
            at_most = int(function.rate * seconds)
            # What ran when it happened was sent before: times tell, not phases.
            cause = Cause(code, at_most, since_s, since_s + within_s, function=function.name, phase="")
            self.stage.ledger.causes.append(cause)

    def machines(self) -> list[int]:
        """Process ids of the microVMs on all hosts."""
        return [pid for host in self.cluster.hosts for pid in host.processes("qemu-system")]

    # What became of it

    async def served_again(self, functions: list[str], since_s: float, within_s: float) -> None:
        """Wait until each of them has answered a request that was sent since then, and hold when that was."""
        what = f"{', '.join(functions)} served again"
        await until(self._all_answered(functions, since_s), within_s + NOT_MORE_THAN_S, what)
        took_s = max(self._answered_after(name, since_s) - since_s for name in functions)
        self.stage.facts["served_again_after_s"] = round(took_s, 1)
        self.stage.check(took_s <= within_s, f"not served again within {within_s} s: {took_s:.1f} s")

    def _all_answered(self, functions: list[str], since_s: float) -> Callable[[], Any]:
        async def look() -> bool:
            await asyncio.sleep(0)
            return all(self._answered_after(name, since_s) < float("inf") for name in functions)

        return look

    def _answered_after(self, function: str, since_s: float) -> float:
        """When the first request was answered that had been sent later; infinite when there is none."""
        return min(
            (
                judged.seen.ended_s
                for judged in self.stage.ledger.all
                if judged.verdict is Verdict.ANSWERED
                and judged.request.function == function
                and judged.seen.sent_s > since_s
            ),
            default=float("inf"),
        )

    async def works_again(self) -> None:
        """A new function is made at one gateway and called at the other: that takes every store."""
        name = f"probe-{next(_probes)}"
        took_s = await until(
            lambda: self._probe(name), WORKS_WITHIN_S, "a new function is deployed and called"
        )
        self.stage.facts["new_function_after_s"] = round(took_s, 2)

    async def _probe(self, name: str) -> bool:
        one, other = self.cluster.api
        made = await one.http.post("/api/functions", json={"name": name, "runtime": "node"})
        if made.status_code not in {CREATED, NAME_TAKEN}:
            return False
        headers = {"X-Filename": "code.tar.gz"}
        uploaded = await one.http.post(f"/api/functions/{name}/code", content=archive(), headers=headers)
        if not uploaded.is_success or not (await other.http.get(f"/functions/{name}/")).is_success:
            return False
        return (await one.http.delete(f"/api/functions/{name}")).is_success

    async def whole_again(self, within_s: float = WHOLE_WITHIN_S) -> None:
        took_s = await until(self.shared.whole, within_s, "the cluster is whole again")
        self.stage.facts["whole_again_after_s"] = round(took_s, 1)
