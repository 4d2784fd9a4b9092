"""The bodies of requests that make and change functions."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aether.domain.function import Limits
from aether.gateway.api import fields

_DEFAULT = Limits()


def _without_defaults(schema: dict[str, Any]) -> None:
    """An update's absent fields stay as they are: none of them has a default."""
    schema.pop("required", None)
    for described in schema["properties"].values():
        described.pop("default", None)


class _Settings(BaseModel):
    # strict: "2" is no number, and 1 is no text. Unknown fields are refused, or a typo is lost.
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    vcpu: fields.Vcpu = 1
    memory_mb: fields.MemoryMb = 128
    port: fields.Port = 3000
    env_vars: fields.EnvVars = Field(default_factory=dict)
    domains: fields.Domains = Field(default_factory=list)
    timeout_s: fields.CallSeconds = _DEFAULT.timeout_s
    idle_timeout_s: fields.CallSeconds = _DEFAULT.idle_timeout_s
    max_stream_s: fields.StreamSeconds = _DEFAULT.max_stream_s
    max_concurrency: fields.Concurrency = _DEFAULT.max_concurrency
    target_concurrency: fields.Concurrency = _DEFAULT.target_concurrency
    min_instances: fields.MinInstances = _DEFAULT.min_instances
    max_instances: fields.MaxInstances = _DEFAULT.max_instances
    max_waiting: fields.MaxWaiting = _DEFAULT.max_waiting
    instance_idle_timeout_s: fields.IdleSeconds = _DEFAULT.instance_idle_timeout_s
    scale_to_zero_after_s: fields.IdleSeconds = _DEFAULT.scale_to_zero_after_s
    max_starts_in_flight: fields.Concurrency = _DEFAULT.max_starts_in_flight
    keep_alive: fields.KeepAlive = _DEFAULT.keep_alive
    health_path: fields.HealthPath = _DEFAULT.health_path
    unresponsive_after_s: fields.CallSeconds = _DEFAULT.unresponsive_after_s
    drain_timeout_s: fields.StreamSeconds = _DEFAULT.drain_timeout_s

    def given(self) -> dict[str, Any]:
        """The fields that the request had, by name."""
        return self.model_dump(exclude_unset=True)


def _entrypoint_without_default(schema: dict[str, Any]) -> None:
    schema["properties"]["entrypoint"].pop("default", None)


class FunctionCreate(_Settings):
    """`entrypoint` is the runtime's own unless given."""

    model_config = ConfigDict(json_schema_extra=_entrypoint_without_default)

    name: fields.Name
    runtime: str
    entrypoint: fields.Entrypoint = ""


class FunctionUpdate(_Settings):
    """What is absent stays as it is."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    name: fields.Name = ""
    runtime: str = ""
    entrypoint: fields.Entrypoint = ""
