"""How the stores of a role are just now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aether.cli.stores.failing import StoreAway, StoreRefuses, Target
from aether.domain.errors import AetherError

if TYPE_CHECKING:
    from aether.gateway.api.status_views import StoreHealth

WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Probe:
    """`look` raises StoreAway, StoreRefuses or an AetherError when something is wrong."""

    target: Target
    look: Callable[[], Awaitable[object]]

    async def health(self) -> StoreHealth:
        from aether.gateway.api.status_views import StoreHealth  # noqa: PLC0415 - with it comes the whole API

        begun_s = time.perf_counter()
        reason = ""
        try:
            async with asyncio.timeout(WITHIN_S):
                await self.look()
        except TimeoutError:
            reason = f"no answer within {WITHIN_S:g} s"
        except (StoreAway, StoreRefuses) as error:
            reason = error.reason
        except AetherError as error:
            reason = error.message
        took_ms = (time.perf_counter() - begun_s) * 1000
        return StoreHealth(self.target.store, self.target.address, not reason, reason, round(took_ms, 1))


async def look_at(probes: Sequence[Probe]) -> Sequence[StoreHealth]:
    """All at once, so that it takes no longer than the slowest."""
    return await asyncio.gather(*(probe.health() for probe in probes))
