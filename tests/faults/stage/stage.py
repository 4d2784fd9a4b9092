"""What a scenario is given: platforms, clients and a ledger; and what it found."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.faults.load import Cause, Client, Ledger
from tests.faults.stage.platform import Platform


class Stage:
    """One scenario's. `facts` go into its result, `problems` make it fail."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.ledger = Ledger()
        self.others = Ledger()
        """Of functions that nothing is done to: their figures are facts, their losses problems."""
        self.facts: dict[str, Any] = {}
        self.problems: list[str] = []

    def check(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)

    def expect(self, code: str, at_most: int, **more: Any) -> None:
        """Platform errors of this kind have a cause."""
        self.ledger.causes.append(Cause(code, at_most, **more))

    @asynccontextmanager
    async def platform(self, *, simulated: bool = True) -> AsyncIterator[Platform]:
        """Running; stopped in the end, whatever became of the scenario."""
        platform = await Platform.started(self.directory, simulated=simulated)
        try:
            yield platform
        finally:
            self.problems += await platform.stop()
        if simulated:
            self.ledger.compare(platform.received())

    @contextlib.contextmanager
    def client(self, platform: Platform, function: str, deadline_s: float, **more: Any) -> Any:
        """Load on a function."""
        ledger = more.pop("ledger", self.ledger)
        client = Client(platform.target(function, deadline_s), ledger, function, **more)
        try:
            yield client
        finally:
            client.close()
