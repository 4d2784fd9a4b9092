"""The watch: every change after a revision once, in order, also over cuts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from itertools import groupby
from typing import Any, Self

import structlog

from aether.adapters.etcd import entries, history, revisions
from aether.adapters.etcd.answers import plain, text
from aether.adapters.etcd.entries import SetAside
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.domain.errors import StoreUnavailable
from aether.ports.registry import Change, Wants

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5
"""Between attempts to go on: what was missed is there within a second of etcd's return."""
BUFFER = 10_000
"""Changes that nobody has asked for yet; over that, etcd keeps them."""


class _Behind(Exception):
    """What comes next can't be had any more."""


class EtcdWatch:
    """Implements `aether.ports.feed.Feed`. A task of its own reads ahead, from the call on."""

    def __init__(
        self,
        gateway: JsonGateway,
        after: int,
        of_history: str,
        set_aside: SetAside,
        on_close: Callable[[EtcdWatch], None],
        *,
        wants: Wants | None = None,
    ) -> None:
        self._gateway = gateway
        self.after = after
        """The last change that was read."""
        self._history = of_history
        self._set_aside = set_aside
        self._on_close = on_close
        self._wants = wants
        self._garbage: set[str] = set()
        """Keys that were told as gone, because what is there is no entry."""
        self._changes: deque[Change] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._end: StoreUnavailable | None = None
        self._closed = False
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="registry watch")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._closed:
            if self._changes:
                self._room.set()
                return self._changes.popleft()
            if self._end is not None:
                raise self._end
            self._more.clear()
            await self._more.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._changes.clear()
            self._more.set()
            self._on_close(self)
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader

    async def _read(self) -> None:
        pause_s = FIRST_PAUSE_S
        away = False
        while True:
            try:
                async for _ in self._streamed():
                    if away:
                        log.info("registry watch goes on")
                    pause_s, away = FIRST_PAUSE_S, False
            except _Behind as behind:
                self._end = StoreUnavailable(f"{behind}: take a new view", component="registry")
                self._more.set()
                return
            except StoreUnavailable as error:
                if not away:
                    log.warning("registry watch cut, will go on where it was", reason=error.message)
                away = True
            except Exception:
                log.exception("registry watch failed")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _streamed(self) -> Any:
        """Take results until the stream breaks; something each time that one came."""
        start = revisions.next_revision(self.after)
        create = {
            "key": text(entries.FIRST),
            "range_end": text(entries.END),
            "start_revision": str(start),
        }
        async with aclosing(self._gateway.stream("watch", {"create_request": create})) as results:
            async for result in results:
                if result.get("created"):
                    await self._check(result["header"])
                if result.get("canceled"):
                    raise _canceled(result)
                self._take(result)
                yield
                while len(self._changes) >= BUFFER:
                    self._room.clear()
                    await self._room.wait()

    async def _check(self, header: Mapping[str, Any]) -> None:
        """Of a stream that has begun, before anything is taken from it."""
        seen, _ = revisions.split(self.after)
        there = await history.known(self._gateway)
        self._history = self._history or there
        if there != self._history or int(header.get("revision", 0)) < seen:
            raise _Behind(f"etcd has another history than the one that revision {seen} was in")

    def _take(self, result: Mapping[str, Any]) -> None:
        """What is of one revision is never divided between results."""
        events = result.get("events", ())
        for revision, group in groupby(events, lambda event: int(event["kv"]["mod_revision"])):
            together = list(group)
            for place, event in enumerate(together):
                last = place == len(together) - 1
                numbered = revisions.number(revision) if last else revisions.number(revision, place)
                if numbered > self.after:
                    self.after = numbered
                    self._give(numbered, event)
        self._more.set()

    def _give(self, numbered: int, event: Mapping[str, Any]) -> None:
        key = plain(event["kv"]["key"]).decode(errors="replace")
        if (self._wants is not None and not self._wants(key)) or not entries.is_ours(key):
            return
        value = None
        was_garbage = key in self._garbage
        self._garbage.discard(key)
        if event.get("type") != "DELETE":
            value = self._set_aside.load(key, plain(event["kv"].get("value", "")))
            if value is None:
                self._garbage.add(key)
        if value is not None or not was_garbage:
            self._changes.append(Change(numbered, key, value))


def _canceled(result: Mapping[str, Any]) -> Exception:
    compacted = int(result.get("compact_revision", 0))
    if compacted:
        return _Behind(f"etcd's history begins after revision {compacted}")
    reason = result.get("cancel_reason", "no reason given")
    return StoreUnavailable(f"etcd canceled the watch: {reason}", component="registry")
