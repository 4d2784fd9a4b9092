"""Settings of gateways, workers and controllers that run as processes of their own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from aether.cli.settings.kinds import ExpandedPath, Secret, worker_name
from aether.cli.settings.stores import NO_SECRET


class RoleSettings(BaseSettings):
    """All but `vmm` are for roles on hosts of their own."""

    vmm: Literal["qemu", "simulated"] = Field(
        default="qemu",
        description="`simulated` runs nobody's code: instances answer by themselves, to try a control plane.",
    )
    api_key: Secret = Field(
        default=NO_SECRET,
        description="The management API's key, the same at every gateway; without it, one is made in "
        "`{data_dir}/api-key`.",
    )
    cluster_key: Secret = Field(
        default=NO_SECRET,
        description="Instances' proxies answer only gateways that have it; the same everywhere. Of several, "
        "separated by commas, the first is sent and any is taken: to change it, add the new one at the end "
        "everywhere, then put it first, then take the old one away.",
    )
    hop_cert: ExpandedPath | None = Field(
        default=None,
        description="Certificate (PEM) that gateways and instances' proxies show each other.",
    )
    hop_key: ExpandedPath | None = Field(default=None, description="That certificate's key (PEM).")
    hop_ca: ExpandedPath | None = Field(
        default=None, description="Authority (PEM) that signs those certificates; with it, both hops are TLS."
    )
    worker_id: Annotated[str, AfterValidator(worker_name)] = Field(
        default="", description="Name of this worker, unique; without it, one is made and kept in `data_dir`."
    )
    worker_port: int = Field(
        default=9090,
        ge=0,
        le=65535,
        description="Port of a worker's `/healthz`, `/readyz` and `/metrics`; 0 takes a free one.",
    )
    processes: int = Field(
        default=1, ge=1, le=64, description="Processes of a gateway, all on one port: up to one a processor."
    )
    code_cache_mb: int = Field(
        default=10_000,
        ge=100,
        le=10_000_000,
        description="What a worker keeps of code images, in MB; the least recently used go.",
    )
