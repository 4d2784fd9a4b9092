"""What the settings say of the hop between gateways and instances' proxies."""

from __future__ import annotations

import re
from pathlib import Path

from aether.cli.settings import InvalidSettings, Settings
from aether.http import BadCredentials, MutualTls, Side
from aether.ports.clock import Clock
from aether.worker.hop import Hop

KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]{16,256}")
"""Of what can stand in a header; a comma separates two."""


def cluster_keys(settings: Settings) -> list[str]:
    """The first is sent, any of them is taken. Raises InvalidSettings."""
    keys = [key for key in re.split(r"[,\s]+", settings.cluster_key.get_secret_value()) if key]
    if not all(KEY.fullmatch(key) for key in keys):
        told = "each key must be 16 to 256 printable ASCII characters, separated by commas"
        raise InvalidSettings(f"Settings are wrong: AETHER_CLUSTER_KEY: {told}.")
    return keys


def hop_tls(settings: Settings, side: Side) -> MutualTls | None:
    """None when none of the files is set. Raises InvalidSettings for some of them, or for wrong ones."""
    files: dict[str, Path | None] = {
        "cert": settings.hop_cert,
        "key": settings.hop_key,
        "ca": settings.hop_ca,
    }
    missing = [_name(part) for part, path in files.items() if path is None]
    if len(missing) == len(files):
        return None
    cert, key, ca = files.values()
    if cert is None or key is None or ca is None:
        raise InvalidSettings(
            f"{' and '.join(missing)} is missing: TLS between gateways and workers takes a certificate, "
            "its key and the authority that signs them."
        )
    try:
        return MutualTls(cert, key, ca, side)
    except BadCredentials as error:
        raise InvalidSettings(f"Settings are wrong: {_name(error.part)}: {error}.") from None


def make_hop(settings: Settings, clock: Clock) -> Hop:
    """What a worker's proxies ask of who connects."""
    keys = [key.encode() for key in cluster_keys(settings)]
    return Hop(clock, keys, hop_tls(settings, Side.SERVER))


def _name(part: str) -> str:
    return f"AETHER_HOP_{part.upper()}"
