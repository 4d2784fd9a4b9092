"""One instance on its way, as the gateway that asked for it knows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from aether.domain.function import Version
from aether.domain.ids import new_id
from aether.domain.job import ProvisionJob

START_BUDGET_S = 60.0
"""A start may outlast the request that caused it: the next one wants the instance too."""


@dataclass(slots=True)
class Start:
    job: ProvisionJob
    asked_at_s: float
    expires_at_s: float
    instance_id: str | None = None
    """Once its worker says that it is ready."""
    tried: set[str] = field(default_factory=set)
    """Workers that refused it, or are gone."""
    anyones: bool = False
    """It lies in the shared queue: a foreign worker that takes it tells nothing but the instance."""
    submitted: bool = False
    ended: bool = False

    @property
    def id(self) -> str:
        return self.job.request_id

    @property
    def revision(self) -> int:
        return self.job.revision


def new_start(function_id: str, version: Version, reply_to: str, now_s: float) -> Start:
    job = ProvisionJob(
        request_id=new_id("req"),
        function_id=function_id,
        runtime=version.runtime,
        entrypoint=version.entrypoint,
        vcpu=version.vcpu,
        memory_mb=version.memory_mb,
        port=version.port,
        env_vars=version.env_vars,
        code_sha256=version.code_sha256,
        remaining_ms=int(START_BUDGET_S * 1000),
        reply_to=reply_to,
        revision=version.revision,
    )
    return Start(job, now_s, now_s + START_BUDGET_S)
