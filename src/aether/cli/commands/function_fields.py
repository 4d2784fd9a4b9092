"""The options of `aether deploy` that are fields of the function."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from aether.cli.failures import WrongUsage


@Parameter(name="*", group="Function")
@dataclass(frozen=True)
class Fields:
    """What stays as it is when it isn't given."""

    runtime: str | None = None
    """What runs it: see `aether runtime list`. Default for a new function: node"""

    entrypoint: str | None = None
    """File that is run. Default: handler.js, package.json's main, index.js, server.js or the like."""

    memory_mb: Annotated[int | None, Parameter(name="--memory")] = None
    """Memory of an instance in MB. Default for a new function: 128"""

    vcpu: int | None = None
    """Virtual CPUs of an instance. Default for a new function: 1"""

    port: int | None = None
    """Port that the function listens on. Default for a new function: 3000"""

    timeout_s: Annotated[float | None, Parameter(name="--timeout")] = None
    """Seconds until its answer must have begun. Default for a new function: 30"""

    idle_timeout_s: Annotated[float | None, Parameter(name="--idle-timeout")] = None
    """Seconds without a byte either way until a stream is ended. Default for a new function: 60"""

    max_stream_s: Annotated[float | None, Parameter(name="--max-stream")] = None
    """Seconds that a stream may last, from its headers on. Default for a new function: 3600"""

    max_concurrency: int | None = None
    """Requests that one instance runs at once. Default for a new function: 16"""

    target_concurrency: int | None = None
    """More than so many per instance on average starts another. Default for a new function: 3"""

    min_instances: int | None = None
    """Instances kept though idle. Default for a new function: 0"""

    max_instances: int | None = None
    """Instances under load. Default for a new function: 20"""

    max_starts_in_flight: int | None = None
    """Instances that are started at once. Default for a new function: 10"""

    max_waiting: int | None = None
    """Requests that wait for an instance; more get 429. Default for a new function: 1000"""

    instance_idle_timeout_s: Annotated[float | None, Parameter(name="--instance-idle-timeout")] = None
    """Seconds without a request until one of several instances goes. Default for a new function: 30"""

    scale_to_zero_after_s: Annotated[float | None, Parameter(name="--scale-to-zero-after")] = None
    """Seconds without a request until the last instances go. Default for a new function: 300"""

    keep_alive: Literal["fixed", "learned"] | None = None
    """What keeps idle instances: fixed times, or learned from calls. Default for a new function: fixed"""

    health_path: str | None = None
    """Path whose GET says that an instance is well; "" for none. Default for a new function: none"""

    unresponsive_after_s: Annotated[float | None, Parameter(name="--unresponsive-after")] = None
    """Seconds without a sign of life until an instance is replaced. Default for a new function: 10"""

    drain_timeout_s: Annotated[float | None, Parameter(name="--drain-timeout")] = None
    """Seconds that requests on an outdated instance may still take. Default for a new function: 300"""

    domains: Annotated[tuple[str, ...] | None, Parameter(name="--domain")] = None
    """Host name that leads to it, to its `/`. Repeatable; those given replace the ones before."""

    def given(self) -> dict[str, Any]:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if self.domains is not None:
            # `--domain ""` is how the last one is taken away.
            given["domains"] = sorted({domain.lower() for domain in self.domains if domain})
        return given


NOTHING_GIVEN = Fields()


def environment(
    given: Iterable[str], unset: Iterable[str], current: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """The whole new environment under its field's name; nothing if it stays."""
    wanted = dict(current)
    for name in unset:
        wanted.pop(name, None)
    for text in given:
        name, equals, value = text.partition("=")
        if not equals and name not in os.environ:
            raise WrongUsage(
                f"--env {name}: there is no such variable in your shell.",
                hint="Give NAME=value, or export it.",
            )
        wanted[name] = value if equals else os.environ[name]
    return {} if wanted == current else {"env_vars": wanted}
