"""A function as its owner describes it, and the version of it that instances run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

NAME = re.compile(r"(?!fn-)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label that cannot be taken for an id. Source: the wire contract, "Defaults per function"."""

DOMAIN = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
"""A host name of two labels or more, in lower case; the last is not a number, so it is no address."""

KEEP_ALIVE_FIXED, KEEP_ALIVE_LEARNED = "fixed", "learned"


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a function's calls, its instances and their number; defaults are the contract's."""

    timeout_s: float = 30.0
    idle_timeout_s: float = 60.0
    """Of a stream or an upgraded connection: nothing either way for so long ends it."""
    max_stream_s: float = 3600.0
    max_concurrency: int = 16
    """Requests that one instance runs at once; hard."""
    target_concurrency: int = 3
    """More than this per instance on average starts another."""
    min_instances: int = 0
    max_instances: int = 20
    max_waiting: int = 1000
    instance_idle_timeout_s: float = 30.0
    scale_to_zero_after_s: float = 300.0
    max_starts_in_flight: int = 10
    """Instances of it that are being started at once."""
    keep_alive: str = KEEP_ALIVE_FIXED
    """How long idle instances stay: by the two times above, or `learned` from when its calls come."""
    health_path: str = ""
    """A GET of it, answered with 2xx or 3xx, says that an instance is well; empty for none."""
    unresponsive_after_s: float = 10.0
    """An instance that shows no sign of life for so long is replaced."""
    drain_timeout_s: float = 300.0
    """What still runs on an instance so long after it got its last request is cut."""


@dataclass(frozen=True, slots=True)
class Version:
    """Everything that decides what an instance runs. A change of any of it makes a new revision."""

    revision: int
    runtime: str
    entrypoint: str
    code_sha256: str
    """Of the code image; empty as long as there is no code."""
    vcpu: int
    memory_mb: int
    port: int
    env_vars: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Function:
    """A row of the `functions` table. Times are aware, in UTC."""

    id: str
    name: str
    version: Version
    code_path: str
    created_at: datetime
    updated_at: datetime
    limits: Limits = field(default_factory=Limits)
    good: Version | None = None
    """The newest version that was seen ready: what serves when `version` never gets ready."""
    domains: tuple[str, ...] = ()
    """Host names of its own, lower-case; each is one function's only."""
    archive_sha256: str = ""
    """Of the archive that the code came in; empty as long as there is none."""
    generation: int = 1
    """How often the row was written: every change makes the next one."""

    def to_config(self) -> FunctionConfig:
        return FunctionConfig(
            id=self.id,
            name=self.name,
            version=self.version,
            limits=self.limits,
            good=self.good,
            domains=self.domains,
            generation=self.generation,
            code_path=self.code_path,
        )


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """What gateways and workers need of a function on the request path: `/config/functions/{id}`."""

    id: str
    name: str
    version: Version
    limits: Limits
    good: Version | None = None
    domains: tuple[str, ...] = ()
    generation: int = 0
    """Of the row that it is a copy of; 0 where its writer didn't know of generations."""
    code_path: str = ""

    def has_code(self, version: Version) -> bool:
        """Also by a path alone, as where the system before has put it: workers run what is there now."""
        return bool(version.code_sha256 or self.code_path)

    def replaces(self, other: FunctionConfig | None) -> bool:
        """Whether it is newer than what is there: a copy that was made earlier may arrive later."""
        return other is None or not other.generation or other.generation < self.generation


def changed(current: Version, **changes: object) -> Version:
    """`current` with `changes`; the next revision if that changes anything instances run."""
    candidate = replace(current, **changes)  # type: ignore[arg-type]
    return candidate if candidate == current else replace(candidate, revision=current.revision + 1)
