"""Which settings a role can't do without."""

from __future__ import annotations

from collections.abc import Iterator

from aether.cli.settings import InvalidSettings, Settings


def require(settings: Settings, role: str) -> None:
    """Raises InvalidSettings that names all that is missing. A controller has no business with code."""
    missing = dict(_missing(settings, code=role != "controller"))
    if missing:
        told = "; ".join(f"{name} ({what})" for name, what in missing.items())
        raise InvalidSettings(f"A {role} needs settings that are missing: {told}.", fields=missing)


def _missing(settings: Settings, *, code: bool) -> Iterator[tuple[str, str]]:
    if not settings.etcd_endpoints:
        yield "ETCD_ENDPOINTS", "where etcd is"
    if not settings.redis_addr.get_secret_value():
        yield "REDIS_ADDR", "where Redis is"
    if not code or settings.code_dir is not None:
        return
    if not settings.minio_endpoint:
        yield "MINIO_ENDPOINT", "where code is kept, or a directory for it by AETHER_CODE_DIR"
        return
    for name, field in (("MINIO_ACCESS_KEY", "minio_access_key"), ("MINIO_SECRET_KEY", "minio_secret_key")):
        if not getattr(settings, field).get_secret_value():
            yield name, "a key at MINIO_ENDPOINT"
