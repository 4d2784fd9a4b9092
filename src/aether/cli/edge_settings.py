"""What the settings say of the gateway's clients, as the gateway takes it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from aether.cli.settings import InvalidSettings, Settings
from aether.http import Limits

MB = 1_000_000
KIB = 1024


def client_limits(settings: Settings) -> Limits:
    """0 in a setting is None in the relay: unbounded."""
    return Limits(
        max_head_bytes=settings.max_head_kb * KIB,
        max_headers=settings.max_headers,
        max_target_bytes=settings.max_url_kb * KIB,
        max_body_bytes=settings.max_body_mb * MB or None,
        head_timeout_s=settings.head_timeout_s,
        body_idle_timeout_s=settings.body_timeout_s,
        keepalive_timeout_s=settings.keepalive_timeout_s,
        max_connections=settings.max_connections,
        max_connections_per_client=settings.max_connections_per_client or None,
    )


def certificate(settings: Settings) -> tuple[Path, Path] | None:
    """Chain and key. Raises InvalidSettings when there is one without the other."""
    chain, key = settings.tls_cert, settings.tls_key
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        missing = "AETHER_TLS_CERT" if chain is None else "AETHER_TLS_KEY"
        raise InvalidSettings(f"{missing} is missing: HTTPS takes a certificate and its key.")
    return chain, key


def trusted_proxies(settings: Settings) -> tuple[IPv4Network | IPv6Network, ...]:
    parts = (part.strip() for part in settings.trusted_proxies.split(","))
    return tuple(ip_network(part, strict=False) for part in parts if part)
