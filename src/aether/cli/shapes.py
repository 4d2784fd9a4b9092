"""JSON of the management API, as the wire contract gives it.

Typed dictionaries, not models: fields that a newer platform adds pass through to `--json`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class RolloutJson(TypedDict):
    """How the newest version is doing; `status` is `pending`, `ready`, `crashing` or `failed`."""

    revision: int
    status: str
    reason: str | None
    console: str | None
    phases: dict[str, float] | None


class FunctionJson(TypedDict):
    id: str
    name: str
    runtime: str
    entrypoint: str
    code_path: str
    vcpu: int
    memory_mb: int
    port: int
    env_vars: dict[str, str]
    created_at: str
    updated_at: str
    code_sha256: NotRequired[str]
    archive_sha256: NotRequired[str]
    rollout: NotRequired[RolloutJson]


class CodeJson(TypedDict):
    message: str
    code_path: str
    sha256: str
    size_bytes: int


class InvocationJson(TypedDict):
    id: str
    function_id: str
    status: str
    duration_ms: int
    started_at: str
    error_message: NotRequired[str | None]
    http_status: NotRequired[int | None]
    call_id: NotRequired[str]
    attempts: NotRequired[int]


class InstanceJson(TypedDict):
    instance_id: str
    function_id: str
    worker_id: str
    status: str
    started_at: str
    drain_until: NotRequired[str | None]


class LogJson(TypedDict):
    at: str
    stream: str
    text: str
    instance_id: NotRequired[str]
    call_id: NotRequired[str | None]


class WorkerJson(TypedDict):
    id: str
    hostname: str
    version: str
    total_mem: int
    free_mem: int
    free_slots: int
    load: int
    draining: bool
    short_of: NotRequired[int]
    limits: NotRequired[str]
    vmm: NotRequired[str]
    accel: NotRequired[str]
    public_ip: NotRequired[str]
    instances: NotRequired[int]
    starting: NotRequired[int]
    unreachable: NotRequired[dict[str, str]]


class RuntimeJson(TypedDict):
    name: str
    default_entrypoint: NotRequired[str]
    command: NotRequired[list[str]]


class StoreJson(TypedDict):
    name: str
    address: str
    ok: bool
    reason: str
    took_ms: float


class GatewayJson(TypedDict):
    """`role` is `gateway`, or `controller` of one that takes no requests."""

    id: str
    hostname: str
    version: str
    role: str
    address: str
    leads: bool
    waiting: int
    starting: int
    missing_room: int


StatusJson = dict[str, Any]
"""Versions and counts, shown as they come; `stores` and `gateways` as above."""
