"""TLS to stores: whom we trust, and what we show of ourselves."""

from __future__ import annotations

import ssl
from pathlib import Path

from aether.cli.settings import InvalidSettings, Settings

SCHEMES = {"etcd": "https://", "redis": "rediss://", "s3": "https://"}


def context(settings: Settings, prefix: str) -> ssl.SSLContext:
    """By `{prefix}_ca`, `_cert` and `_key`. Raises InvalidSettings for files that can't be used."""
    authorities = authorities_of(settings, f"{prefix}_ca")
    made = ssl.create_default_context(cafile=authorities)
    pair = own_certificate(settings, prefix)
    if pair is not None:
        made.load_cert_chain(*pair)
    return made


def speaks_tls(settings: Settings, prefix: str, address: str, *, secure: bool) -> bool:
    """The same. Raises InvalidSettings where TLS is set up and the address says to speak plainly."""
    if not secure:
        for field in (f"{prefix}_ca", f"{prefix}_cert", f"{prefix}_key"):
            if getattr(settings, field, None) is not None:
                name, where = settings.told_name(field), settings.told_name(address)
                told = f"{where} has no {SCHEMES[prefix]} address, so that nothing would be encrypted"
                raise InvalidSettings(f"{name} is set, but {told}.", fields={name: told})
    return secure


def authorities_of(settings: Settings, field: str) -> Path | None:
    """A file of certificates that can be read. Raises InvalidSettings."""
    path: Path | None = getattr(settings, field)
    if path is not None:
        try:
            ssl.create_default_context(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise _unusable(settings, field, path, error, "certificates (PEM)") from None
    return path


def own_certificate(settings: Settings, prefix: str) -> tuple[Path, Path] | None:
    """Certificate and key. Raises InvalidSettings when one is missing, or they can't be used together."""
    certificate: Path | None = getattr(settings, f"{prefix}_cert")
    key: Path | None = getattr(settings, f"{prefix}_key")
    if certificate is None and key is None:
        return None
    for field, path in ((f"{prefix}_cert", certificate), (f"{prefix}_key", key)):
        if path is None:
            name = settings.told_name(field)
            raise InvalidSettings(
                f"{name} is missing: a certificate goes with its key.", fields={name: "missing"}
            )
    assert certificate is not None
    assert key is not None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        broken = f"{prefix}_cert" if not _readable(certificate) else f"{prefix}_key"
        path = certificate if broken.endswith("_cert") else key
        raise _unusable(settings, broken, path, error, "a certificate and its key (PEM)") from None
    return certificate, key


def _readable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


def _unusable(settings: Settings, field: str, path: Path, error: Exception, what: str) -> InvalidSettings:
    name = settings.told_name(field)
    told = (
        f"it holds no usable {what}" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    )
    return InvalidSettings(
        f"{name}: can't use {path}: {told or error}.", fields={name: f"can't use {path}: {told}"}
    )
