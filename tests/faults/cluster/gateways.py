"""What befalls gateways, behind a haproxy that asks each whether it is ready."""

from __future__ import annotations

import asyncio

from tests.api import until
from tests.faults.cluster.play import Play

AFTER_S = 3.0
BACK_WITHIN_S = 20.0


async def kill(play: Play) -> None:
    """kill -9 of a gateway: the other serves on."""
    async with play.load():
        gateway = play.cluster.gateways[1]
        async with play.killing():
            await gateway.kill()
        await asyncio.sleep(AFTER_S)
        gateway.start()
        await play.whole_again()
        await asyncio.sleep(AFTER_S)


async def rolling_restart(play: Play) -> None:
    """Both gateways are stopped and started again, one after the other; nobody notices."""
    async with play.load():
        for number, gateway in enumerate(play.cluster.gateways):
            code = await gateway.stop()
            play.stage.check(code == 0, f"{gateway.name} ended with {code}")
            gateway.start()
            await until(lambda n=number: _ready(play, n), BACK_WITHIN_S, f"{gateway.name} takes traffic")
            await asyncio.sleep(AFTER_S)
        await play.whole_again()


async def _ready(play: Play, number: int) -> bool:
    return await play.cluster.takes_traffic(play.cluster.api[number])
