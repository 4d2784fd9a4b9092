"""Settings of one platform or role: where it keeps things, what it listens on, its limits."""

from __future__ import annotations

import hashlib
import tempfile
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import BaseSettings

from aether.cli.paths import default_cache_dir, default_data_dir, key_file
from aether.cli.settings.kinds import ExpandedPath, domain_name, networks

UNIX_PATH_BYTES = 108
"""Size of `sun_path`, with its closing NUL. Source: unix(7)."""

SOCKET_NAME_BYTES = 60
"""Kept free below the socket directory for `{instance_id}/{name}.sock`."""


class PlatformSettings(BaseSettings):
    """What `aether up` is made of; roles read the same."""

    data_dir: ExpandedPath = Field(
        default_factory=default_data_dir,
        description="Functions, code and the API key; kept between starts.",
    )
    cache_dir: ExpandedPath = Field(
        default_factory=default_cache_dir, description="Kernel, initramfs and runtimes, as set-up built them."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that the gateway listens on.")
    port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("AETHER_PORT", "PORT"),
        description="Port that the gateway listens on; 0 takes a free one.",
    )
    base_domain: Annotated[str, AfterValidator(domain_name)] = Field(
        default="",
        description="`{name}.{base_domain}` leads to the function of that name, for applications that think "
        "they live at `/`; empty for none.",
    )
    auth: Literal["on", "off"] = Field(
        default="on",
        description="`off` opens the management API to whoever reaches it: trusted networks only.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message that is written."
    )
    keep_invocations_days: int = Field(
        default=30, ge=1, le=3650, description="Records of calls older than this are removed."
    )
    max_archive_mb: int = Field(
        default=200, ge=1, le=10_000, description="Largest code archive that is taken, in MB."
    )
    max_body_mb: int = Field(
        default=0, ge=0, le=1_000_000, description="Largest request body of a call, in MB; 0 for any size."
    )
    max_head_kb: int = Field(
        default=32, ge=8, le=1024, description="Largest head of a request, in KiB; more is 431."
    )
    max_headers: int = Field(
        default=100, ge=10, le=1000, description="Most header fields of a request; more is 431."
    )
    max_url_kb: int = Field(default=8, ge=1, le=64, description="Longest URL, in KiB; more is 414.")
    head_timeout_s: int = Field(
        default=10, ge=1, le=300, description="Seconds that a request's head may take; more is 408."
    )
    body_timeout_s: int = Field(
        default=30,
        ge=1,
        le=900,
        description="Longest pause in a request's body, in seconds; more is 408.",
    )
    keepalive_timeout_s: int = Field(
        default=75, ge=1, le=3600, description="Seconds that an idle connection of a client is kept."
    )
    max_connections: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Most connections of clients at a time; more get 503."
    )
    max_connections_per_client: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Most connections from one address (IPv6: one /64) at a time; 0 for any number. "
        "Front proxies that are trusted may have any number.",
    )
    drain_timeout_s: int = Field(
        default=35,
        ge=0,
        le=3600,
        description="Seconds that calls may still take when the platform is asked to stop; then what has no "
        "answer gets 503, and streams are cut.",
    )
    stop_pause_s: int = Field(
        default=0,
        ge=0,
        le=300,
        description="Seconds for which `/readyz` says no before the platform stops taking connections, so "
        "that front proxies send none any more: longer than they take to notice.",
    )
    tls_cert: ExpandedPath | None = Field(
        default=None,
        description="Certificate chain (PEM, leaf first) to serve HTTPS with; read again when it changes.",
    )
    tls_key: ExpandedPath | None = Field(default=None, description="The certificate's key (PEM).")
    trusted_proxies: Annotated[str, AfterValidator(networks)] = Field(
        default="",
        description="Addresses or networks of front proxies, separated by commas, that are believed what "
        "`X-Forwarded-Proto` and `-Host` say.",
    )
    max_instances: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Most instances on this host at once, of all functions together; 0 for as many as its "
        "memory allows.",
    )
    kernel_path: ExpandedPath | None = Field(
        default=None,
        validation_alias=AliasChoices("AETHER_KERNEL_PATH", "KERNEL_PATH"),
        description="A kernel of your own (ELF, all drivers built in) instead of the one from set-up.",
    )
    runtime_path: ExpandedPath | None = Field(
        default=None,
        validation_alias=AliasChoices("AETHER_RUNTIME_PATH", "RUNTIME_PATH"),
        description="A root filesystem for `node`, or a folder of `{runtime}.ext4`.",
    )
    worker_ip: IPv4Address = Field(
        default=IPv4Address("127.0.0.1"),
        validation_alias=AliasChoices("AETHER_WORKER_IP", "WORKER_IP"),
        description="Address at which gateways reach this worker's instances.",
    )
    socket_dir: ExpandedPath | None = Field(
        default=None,
        validation_alias=AliasChoices("AETHER_SOCKET_DIR", "SOCKET_DIR"),
        description="Control sockets of the VMs. Default: `{data_dir}/run`, or a short path under the "
        "system's temporary directory when that is too long for a socket's name.",
    )
    db_path: ExpandedPath | None = Field(
        default=None,
        validation_alias=AliasChoices("AETHER_DB_PATH", "DB_PATH"),
        description="The SQLite database. Default: `{data_dir}/aether.db`.",
    )

    @property
    def key_file(self) -> Path:
        return key_file(self.data_dir)

    @property
    def database(self) -> Path:
        return self.db_path or self.data_dir / "aether.db"

    @property
    def sockets(self) -> Path:
        """The same for the same data directory at every start, so that leftovers are found again."""
        if self.socket_dir is not None:
            return self.socket_dir
        beside_data = self.data_dir / "run"
        if len(bytes(beside_data)) + SOCKET_NAME_BYTES < UNIX_PATH_BYTES:
            return beside_data
        digest = hashlib.sha256(bytes(self.data_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"aether-{digest}"
