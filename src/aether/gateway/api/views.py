"""The JSON that the API gives of functions: shapes by the wire contract, with additions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from aether.domain.function import Function
from aether.domain.instance import Instance
from aether.domain.invocation import Invocation
from aether.domain.rollout import Rollout
from aether.domain.worker import InstanceLoad
from aether.ports.function_logs import LogRecord

_OWN = ("id", "name", "code_path", "archive_sha256", "created_at", "updated_at")


class RolloutView(BaseModel):
    """How the newest version is doing: `pending`, `ready`, `crashing` or `failed`.

    `reason` and `console` tell what went wrong; `phases` are milliseconds of its first start.
    """

    revision: int
    status: str
    reason: str | None
    console: str | None
    phases: dict[str, float] | None


class FunctionView(BaseModel):
    id: str
    name: str
    runtime: str
    entrypoint: str
    code_path: str
    code_sha256: str
    archive_sha256: str
    domains: list[str]
    revision: int
    rollout: RolloutView
    vcpu: int
    memory_mb: int
    port: int
    env_vars: dict[str, str]
    timeout_s: float
    idle_timeout_s: float
    max_stream_s: float
    max_concurrency: int
    target_concurrency: int
    min_instances: int
    max_instances: int
    max_waiting: int
    instance_idle_timeout_s: float
    scale_to_zero_after_s: float
    max_starts_in_flight: int
    keep_alive: str
    health_path: str
    unresponsive_after_s: float
    drain_timeout_s: float
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, function: Function, rollout: Rollout) -> FunctionView:
        own: dict[str, Any] = {name: getattr(function, name) for name in _OWN}
        own |= {"domains": list(function.domains), "rollout": asdict(rollout)}
        return cls(**(asdict(function.limits) | asdict(function.version) | own))


class CodeView(BaseModel):
    message: str
    code_path: str
    sha256: str
    size_bytes: int
    revision: int


class InvocationView(BaseModel):
    id: str
    function_id: str
    status: str
    duration_ms: int
    started_at: datetime
    error_message: str | None
    instance_id: str | None
    http_status: int | None
    method: str
    path: str
    cold: bool
    phases: dict[str, float]
    call_id: str
    attempts: int
    """Instances that it was sent to: more than one where some refused it or broke."""

    @classmethod
    def of(cls, invocation: Invocation) -> InvocationView:
        return cls(**asdict(invocation))


class InstanceView(BaseModel):
    """`in_flight` and `idle_s` are None until its worker has told them.

    `drain_until` is when a draining one cuts what still runs on it.
    """

    instance_id: str
    function_id: str
    worker_id: str
    host_ip: str
    proxy_port: int
    internal_ip: str
    status: str
    started_at: datetime
    revision: int | None
    vmm: str
    accel: str
    drain_until: datetime | None
    in_flight: int | None
    idle_s: float | None

    @classmethod
    def of(cls, instance: Instance, load: InstanceLoad | None) -> InstanceView:
        return cls(
            **asdict(instance),
            in_flight=load.in_flight if load else None,
            idle_s=load.idle_s if load else None,
        )


class LogView(BaseModel):
    at: datetime
    stream: str
    text: str
    instance_id: str
    call_id: str | None

    @classmethod
    def of(cls, record: LogRecord) -> LogView:
        return cls(
            at=record.at,
            stream=record.stream,
            text=record.text,
            instance_id=record.instance_id,
            call_id=record.call_id,
        )


class ErrorDetail(BaseModel):
    code: str
    message: str
    component: str
    call_id: str | None
    hint: str | None = None
    fields: dict[str, str] | None = None


class ErrorView(BaseModel):
    """Every error that the platform answers with."""

    error: ErrorDetail
