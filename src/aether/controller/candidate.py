"""One of several that could scale: it does while it is elected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from aether.ports.election import Election, Term

log = structlog.get_logger()

REST_S = 3.0
"""What fails gives another candidate time to be elected."""


class Scaling(Protocol):
    async def run(self) -> None:
        """Until cancelled."""
        ...


class Candidate:
    """`run` is its whole life. What a controller learned goes with its term: each begins anew."""

    def __init__(
        self,
        election: Election,
        candidate_id: str,
        controller: Callable[[Term], Scaling],
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`controller` makes one for a term; it has to act only while that holds.

        `on_change` hears when `leads` has changed.
        """
        self._election = election
        self._id = candidate_id
        self._controller = controller
        self._on_change = on_change
        self._term: Term | None = None
        self._rest = False

    @property
    def leads(self) -> bool:
        return self._term is not None and self._term.holds

    async def run(self) -> None:
        """Until cancelled: then it resigns, so that another begins at once."""
        while True:
            term = self._term = await self._election.elected(self._id)
            log.info("scales", candidate=self._id)
            self._on_change()
            try:
                await self._lead(term)
            finally:
                self._term = None
                self._on_change()
                await asyncio.shield(term.resign())
            log.warning("scales no more", candidate=self._id)
            if self._rest:
                self._rest = False
                await asyncio.sleep(REST_S)

    async def _lead(self, term: Term) -> None:
        """Returns when the term is over, whatever the controller is doing then."""
        over = asyncio.ensure_future(term.over())
        scaling = asyncio.ensure_future(self._controller(term).run())
        try:
            await asyncio.wait({over, scaling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (over, scaling):
                task.cancel()
            _, ended = await asyncio.gather(over, scaling, return_exceptions=True)
        if isinstance(ended, Exception):
            log.error("scaling failed, another may do better", exc_info=ended)
            self._rest = True
