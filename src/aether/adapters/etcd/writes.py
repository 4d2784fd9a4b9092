"""Writes under a lease, as operations of a transaction that carries many of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aether.adapters.etcd.answers import plain, text
from aether.adapters.etcd.entries import CLAIMS

_Operation = dict[str, Any]


class How(Enum):
    WHATEVER_IS_THERE = "whatever is there"
    AGAIN = "again"
    """After the lease was lost: only where nothing has taken the entry's place."""
    IF_OURS = "if ours"
    """Only where nothing is, or what this lease has put."""


@dataclass(frozen=True, slots=True)
class Claim:
    """That an instance is the first for a request."""

    request_id: str
    instance_id: str
    worker_id: str

    @property
    def key(self) -> str:
        return f"{CLAIMS}{self.request_id}"

    @property
    def value(self) -> str:
        return text(json.dumps({"worker_id": self.worker_id, "instance_id": self.instance_id}))


@dataclass(slots=True)
class Write:
    """One entry that is to be written. `done` has the id of the instance that a claim turned out to be of."""

    how: How = How.WHATEVER_IS_THERE
    claim: Claim | None = None
    done: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, result: str | Exception = "") -> None:
        if self.done.done():
            return
        if isinstance(result, str):
            self.done.set_result(result)
        else:
            self.done.set_exception(result)
            self.done.exception()  # not an error if nobody waits for it


def operation(key: str, value: str | None, write: Write, lease_id: str) -> _Operation:
    """`value` as the gateway takes values; None removes."""
    if value is None:
        return {"request_delete_range": {"key": text(key)}}
    put = _put(key, value, lease_id)
    if write.claim is not None:
        return _first(write.claim, put, lease_id)
    if write.how is How.WHATEVER_IS_THERE:
        return put
    ours = [_txn([_held_by(key, lease_id)], [put])] if write.how is How.IF_OURS else []
    return _txn([_absent(key)], [put], ours)


def first_of(claim: Claim, answer: Mapping[str, Any]) -> str:
    """Which instance has the claim, by what the operation answered."""
    outer = answer["response_txn"]
    if outer.get("succeeded"):
        return claim.instance_id
    [inner] = outer["responses"]
    if inner["response_txn"].get("succeeded"):
        return claim.instance_id
    [found] = inner["response_txn"]["responses"]
    kvs = found["response_range"].get("kvs") or [{}]
    try:
        return str(json.loads(plain(kvs[0].get("value", "")))["instance_id"])
    except (ValueError, KeyError, TypeError):
        return ""


def taking(key: str, value: str, lease_id: str) -> dict[str, Any]:
    """A whole transaction: put it where nothing is, or what this lease has put; else tell what is there."""
    put = _put(key, value, lease_id)
    look = {"request_range": {"key": text(key)}}
    ours = _txn([_held_by(key, lease_id)], [put], [look])
    return {"compare": [_absent(key)], "success": [put], "failure": [ours]}


def _first(claim: Claim, put: _Operation, lease_id: str) -> _Operation:
    """Both or none. One that is ours already is put again: its lease may be an earlier one."""
    both = [_put(claim.key, claim.value, lease_id), put]
    ours = {"target": "VALUE", "key": text(claim.key), "value": claim.value}
    look = {"request_range": {"key": text(claim.key)}}
    return _txn([_absent(claim.key)], both, [_txn([ours], both, [look])])


def _put(key: str, value: str, lease_id: str) -> _Operation:
    return {"request_put": {"key": text(key), "value": value, "lease": lease_id}}


def _absent(key: str) -> dict[str, str]:
    return {"target": "CREATE", "key": text(key), "create_revision": "0"}


def _held_by(key: str, lease_id: str) -> dict[str, str]:
    return {"target": "LEASE", "key": text(key), "lease": lease_id}


def _txn(
    compare: list[dict[str, str]], success: list[_Operation], failure: list[_Operation] | None = None
) -> _Operation:
    return {"request_txn": {"compare": compare, "success": success, "failure": failure or []}}
