"""The shapes under the keys, and what isn't one."""

from __future__ import annotations

import re
from typing import TypeAlias

import structlog

from aether.adapters.json_form import JsonForm
from aether.domain.function import FunctionConfig
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance
from aether.domain.worker import DrainWish, Worker
from aether.ports.registry import Entry, config_key, drain_key, gateway_key, instance_key, worker_key

log = structlog.get_logger()

PREFIXES = ("/aether/drains/", "/aether/gateways/", "/config/functions/", "/functions/", "/workers/")
FIRST, END = "/aether/drains/", "/workers0"
"""All of them lie between: one watch sees them in order, and passes over what else lies there."""
CLAIMS = "/aether/claims/"
"""Which instance is the first for a request. Before `FIRST`: no watch is told, for only workers ask."""

_WORKER = re.compile(r"/workers/([^/]+)")
_INSTANCE = re.compile(r"/functions/([^/]+)/instances/([^/]+)")
_GATEWAY = re.compile(r"/aether/gateways/([^/]+)")
_DRAIN = re.compile(r"/aether/drains/([^/]+)")
_CONFIG = re.compile(r"/config/functions/([^/]+)")
_NEVER = "1970-01-01T00:00:00Z"
_PORTS = range(1, 1 << 16)

_Form: TypeAlias = (
    JsonForm[Worker]
    | JsonForm[Instance]
    | JsonForm[FunctionConfig]
    | JsonForm[GatewayRecord]
    | JsonForm[DrainWish]
)

WORKER = JsonForm(
    Worker,
    absent={"hostname": "", "public_ip": "", "total_cpu": 0, "total_mem": 0, "version": ""}
    | {"last_heartbeat": _NEVER, "free_mem": 0, "free_slots": 0},
)
"""A foreign worker tells of no free room: nothing is placed on it, it takes what it likes."""
INSTANCE = JsonForm(Instance, absent={"worker_id": "", "internal_ip": "", "started_at": _NEVER})
CONFIG = JsonForm(FunctionConfig, absent={"limits": {}})
GATEWAY = JsonForm(GatewayRecord, absent={"hostname": "", "version": "", "last_heartbeat": _NEVER})
DRAIN = JsonForm(DrainWish, absent={"asked_at": _NEVER})


def key_of(entry: Entry) -> str:
    match entry:
        case Worker():
            return worker_key(entry.id)
        case Instance():
            return instance_key(entry.function_id, entry.instance_id)
        case FunctionConfig():
            return config_key(entry.id)
        case GatewayRecord():
            return gateway_key(entry.id)
        case DrainWish():
            return drain_key(entry.worker_id)


def is_ours(key: str) -> bool:
    """Whether it is a key of the contract; others share the prefixes, and are passed over."""
    return _form(key) is not None


def load(key: str, raw: bytes) -> Entry:
    """Raises ValueError for what no reader could use."""
    form = _form(key)
    if form is None:
        raise ValueError("not a key of the contract")
    entry = form.load(raw)
    if key_of(entry) != key:
        raise ValueError(f"it says that it is {key_of(entry)}")
    if isinstance(entry, Instance) and (entry.proxy_port not in _PORTS or not entry.host_ip.strip()):
        raise ValueError(f"nothing listens at {entry.host_ip!r}, port {entry.proxy_port}")
    return entry


def dump(entry: Entry) -> bytes:
    match entry:
        case Worker():
            return WORKER.dump(entry)
        case Instance():
            return INSTANCE.dump(entry)
        case FunctionConfig():
            return CONFIG.dump(entry)
        case GatewayRecord():
            return GATEWAY.dump(entry)
        case DrainWish():
            return DRAIN.dump(entry)


def _form(key: str) -> _Form | None:
    if _INSTANCE.fullmatch(key):
        return INSTANCE
    if _WORKER.fullmatch(key):
        return WORKER
    if _GATEWAY.fullmatch(key):
        return GATEWAY
    if _DRAIN.fullmatch(key):
        return DRAIN
    return CONFIG if _CONFIG.fullmatch(key) else None


class SetAside:
    """Garbage under keys of ours: passed over, and told of once a key."""

    def __init__(self, most: int = 10_000) -> None:
        """`most`: keys that are remembered; over that, the same may be told again."""
        self._most = most
        self._told: set[str] = set()

    def load(self, key: str, raw: bytes) -> Entry | None:
        """None for garbage."""
        try:
            entry = load(key, raw)
        except ValueError as error:
            self._tell(key, str(error))
            return None
        self._told.discard(key)
        return entry

    def _tell(self, key: str, reason: str) -> None:
        if key not in self._told:
            if len(self._told) >= self._most:
                self._told.clear()
            self._told.add(key)
            log.warning("garbage in the registry, set aside", key=key, reason=reason)
