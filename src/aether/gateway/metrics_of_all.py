"""What `/metrics` tells where several processes are one gateway: their sum, whoever of them is asked.

Each writes down what it last told, so that what it counted stays counted when it is gone: a sum that falls
reads as a restart, and everything counted so far as new. Between them it is JSON: much quicker to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

ANSWER_WITHIN_S = 1.0
_TOLD, _ENDED = "told.json", "ended.json"
_QUESTION = (
    b"GET /metrics?own=true HTTP/1.0\r\nHost: localhost\r\n"
    b"X-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n"
)
_LASTING = frozenset({"counter", "histogram"})
_SEEN_BY_EACH = frozenset({"aether_workers", "aether_instances"})
"""Of the registry: each process sees the same, give or take a moment."""

_Sample: TypeAlias = tuple[str, dict[str, str], float]
Family: TypeAlias = tuple[str, str, str, list[_Sample]]
"""Name, what it is, its type, and values by name and labels."""
_Key = tuple[str, tuple[tuple[str, str], ...]]


class MetricsOfAll:
    """`folders` are those of all processes, `own` first: with `api.sock`, and what each has told last."""

    def __init__(self, registry: CollectorRegistry, folders: Sequence[Path]) -> None:
        self._registry = registry
        self._own, *self._others = folders

    def own(self) -> bytes:
        """This process's alone, as JSON, and written down."""
        families = [
            (m.name, m.documentation, m.type, [(s.name, s.labels, s.value) for s in m.samples])
            for m in self._registry.collect()
        ]
        told = json.dumps(families).encode()
        _write(self._own / _TOLD, told)
        return told

    async def text(self) -> bytes:
        """Those of all, and of those that have ended, as Prometheus reads it."""
        others = await asyncio.gather(*(_ask(folder) for folder in self._others))
        told = [self.own(), *(text for text in others if text is not None)]
        missing = [folder for folder, text in zip(self._others, others, strict=True) if text is None]
        return await asyncio.to_thread(self._summed, told, missing)

    def _summed(self, told: list[bytes], missing: list[Path]) -> bytes:
        families = [family for text in told for family in json.loads(text)]
        # Of one that does not answer what it had counted is still true.
        for file in (*(folder / _TOLD for folder in missing), self._own.parent / _ENDED):
            families += _lasting(_read(file))
        return _written([*summed(families), _answering(len(told))])


def _answering(processes: int) -> Family:
    name = "aether_gateway_processes"
    return name, "Processes of this gateway that answer", "gauge", [(name, {}, float(processes))]


def keep_what_lasts(folder: Path) -> None:
    """The process of this folder has ended: what it had counted stays counted."""
    told, ended = folder / _TOLD, folder.parent / _ENDED
    families = summed([*_read(ended), *_lasting(_read(told))])
    _write(ended, json.dumps(families).encode())
    told.unlink(missing_ok=True)


def forget_all(folders: Iterable[Path]) -> None:
    """Remove what was written down: a gateway's processes begin, or have ended."""
    for folder in folders:
        (folder / _TOLD).unlink(missing_ok=True)
        (folder.parent / _ENDED).unlink(missing_ok=True)


def summed(families: Iterable[Family]) -> list[Family]:
    """What one process would have told."""
    kinds: dict[str, tuple[str, str]] = {}
    values: dict[str, dict[_Key, float]] = {}
    for name, what, kind, samples in families:
        kinds.setdefault(name, (what, kind))
        added = values.setdefault(name, {})
        for sample, labels, value in samples:
            key = (sample, tuple(sorted(labels.items())))
            there = added.get(key)
            added[key] = value if there is None else _together(key, there, value)
    return [
        (
            name,
            what,
            kind,
            [(sample, dict(labels), value) for (sample, labels), value in values[name].items()],
        )
        for name, (what, kind) in kinds.items()
    ]


def _together(key: _Key, one: float, other: float) -> float:
    name, labels = key
    if name.endswith("_created"):
        return min(one, other)
    if name in _SEEN_BY_EACH and ("status", "starting") not in labels:
        return max(one, other)
    return one + other


def _lasting(families: Iterable[Family]) -> list[Family]:
    return [family for family in families if family[2] in _LASTING]


class _Told(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for name, what, kind, samples in self._families:
            metric = Metric(name, what, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, labels, value)
            yield metric


def _written(families: Iterable[Family]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(families))
    return generate_latest(registry)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(data)
    partial.rename(path)


def _read(path: Path) -> list[Family]:
    with contextlib.suppress(OSError, ValueError):
        found: list[Family] = json.loads(path.read_bytes())
        return found
    return []


async def _ask(folder: Path) -> bytes | None:
    """What that process tells; None when it does not."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_unix_connection(str(folder / "api.sock"))
            try:
                writer.write(_QUESTION)
                head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except OSError:  # TimeoutError among them
        return None
    return body if head.split(b" ", 2)[1:2] == [b"200"] else None
