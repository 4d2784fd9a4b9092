"""What a scenario is given: platforms, clients and a ledger; and what it found."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.faults.load import Cause, Client, Ledger
from tests.faults.load.judge import CUT
from tests.faults.stage.platform import Platform


class Stage:
    """One scenario's. `facts` go into its result, `problems` make it fail."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.ledger = Ledger()
        self.facts: dict[str, Any] = {}
        self.problems: list[str] = []
        self._deployed: list[str] = []

    def check(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)

    def expect(self, code: str, at_most: int, **more: Any) -> None:
        """Platform errors of this kind have a cause: see `Cause`."""
        self.ledger.causes.append(Cause(code, at_most, **more))

    @asynccontextmanager
    async def platform(
        self, *, simulated: bool = True, settings: dict[str, str] | None = None
    ) -> AsyncIterator[Platform]:
        """Running; stopped in the end, whatever became of the scenario. `settings` by environment name."""
        platform = await Platform.started(self.directory, simulated=simulated, settings=settings)
        try:
            yield platform
            await self.compare(platform)
        finally:
            self.problems += await platform.stop()

    async def compare(self, platform: Platform) -> None:
        """What functions got with what was sent; and for broken answers, that their reason was recorded."""
        await self.recorded(platform)
        if platform.simulated:
            self.ledger.compare(platform.received())
        else:
            for function in {j.request.function for j in self.ledger.all}:
                self.ledger.compare(await platform.printed(function), all_of_them=False)

    async def recorded(self, platform: Platform) -> None:
        """For each answer that broke off there is an invocation that tells why."""
        cut = {j.seen.headers.get("x-call-id", "?"): j.request for j in self.ledger.all if j.code == CUT}
        for function in {request.function for request in cut.values()}:
            reasons = await platform.errors_recorded(function)
            for call_id in [c for c, request in cut.items() if request.function == function]:
                self.check(reasons.get(call_id), f"no reason was recorded for a broken answer ({call_id})")

    @contextlib.contextmanager
    def client(self, platform: Platform, function: str, deadline_s: float, **more: Any) -> Iterator[Client]:
        """Load on a function."""
        client = Client(platform.target(function, deadline_s), self.ledger, function, **more)
        try:
            yield client
        finally:
            client.close()
