"""Stores are away for 20 s, or lose what they had. Nobody who calls a warm function notices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.cluster.play import OUTAGE_S, Play

AFTER_S = 2.0


def paused(name: str) -> Callable[[Play], Awaitable[None]]:
    """SIGSTOP for 20 s: connections to it stay, and nothing answers."""

    async def play_it(play: Play) -> None:
        server = play.cluster.stores.servers[name]
        async with play.load(), play.keeping_instances():
            server.pause()
            try:
                await asyncio.sleep(OUTAGE_S)
            finally:
                server.resume()
            await play.works_again()
            await play.whole_again()
            await asyncio.sleep(AFTER_S)

    play_it.__doc__ = f"SIGSTOP of {TITLES[name]} for 20 s; then a new function can be deployed and called."
    return play_it


def killed(name: str) -> Callable[[Play], Awaitable[None]]:
    """Killed, and started again after 20 s on what it had on its disk."""

    async def play_it(play: Play) -> None:
        server = play.cluster.stores.servers[name]
        async with play.load(), play.keeping_instances():
            server.kill()
            await asyncio.sleep(OUTAGE_S)
            server.spawn()
            await asyncio.to_thread(server.wait)
            await play.works_again()
            await play.whole_again()
            await asyncio.sleep(AFTER_S)

    play_it.__doc__ = f"{TITLES[name]} is killed, and back after 20 s; then a new function works."
    return play_it


TITLES = {"etcd": "etcd", "redis": "Redis", "s3": "The S3 store", "postgres": "PostgreSQL"}


async def flush_redis(play: Play) -> None:
    """Redis FLUSHALL: jobs, replies and logs are gone; the next cold start works."""
    async with play.load(), play.keeping_instances():
        play.cluster.stores.redis.flush()
        await play.works_again()
        await play.whole_again()
        await asyncio.sleep(AFTER_S)


async def empty_etcd(play: Play) -> None:
    """etcd is killed, and comes back empty: workers register again, configurations come from SQL."""
    etcd = play.cluster.stores.etcd
    async with play.load(), play.keeping_instances():
        etcd.kill()
        etcd.wipe()
        etcd.spawn()
        await asyncio.to_thread(etcd.wait)
        await play.whole_again()
        await play.works_again()
        await asyncio.sleep(AFTER_S)
