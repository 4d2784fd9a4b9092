"""What kinds of values settings have, and how each is checked."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr

from aether.cli.masking import masked, without_password

LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
WORKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
ExpandedPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Secret(SecretStr):
    """Shown by its end only."""

    def _display(self) -> str:
        return masked(self.get_secret_value())


class SecretUrl(SecretStr):
    """A URL that may have a password in it: shown without that."""

    def _display(self) -> str:
        return without_password(self.get_secret_value())


def domain_name(text: str) -> str:
    """Lower-case, without the root's dot; one label will do, as for `fn.localhost`'s last."""
    name = text.lower().strip(".")
    if name and not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("must be a host name like fn.example.com")
    return name


def networks(text: str) -> str:
    """Addresses and networks, separated by commas."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        ip_network(part, strict=False)
    return text


def worker_name(text: str) -> str:
    """It is part of keys in the registry and of names in the queue."""
    if text and not WORKER_ID.fullmatch(text):
        raise ValueError("must be 1 to 63 letters, digits, dots, dashes or underscores")
    return text


def as_etcd_endpoints(text: str) -> str:
    """`host:port` or `http(s)://host:port`, separated by commas; spaces and empty ones are dropped."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        _web_address(part, ("http", "https"), "user and password are AETHER_ETCD_USER and _PASSWORD")
    return ",".join(parts)


def as_s3_endpoint(text: str) -> str:
    """As a URL; `host:port` is one over HTTP."""
    if text:
        text = text if "://" in text else f"http://{text}"
        _web_address(text, ("http", "https"), "the keys are MINIO_ACCESS_KEY and MINIO_SECRET_KEY")
    return text


def as_redis_url(url: SecretUrl) -> SecretUrl:
    """As a URL; `host:port` is one without TLS."""
    text = url.get_secret_value()
    if not text:
        return url
    text = text if "://" in text else f"redis://{text}"
    parts = _parts(text, ("redis", "rediss"))
    if not re.fullmatch(r"/?|/\d{1,5}", parts.path):
        raise ValueError("what follows the address must be a database's number: redis://host:port/0")
    return SecretUrl(text)


def as_database_url(url: SecretUrl) -> SecretUrl:
    """As libpq has them, several hosts included: no more is looked at than what is always wrong."""
    text = url.get_secret_value()
    if text:
        scheme, _, rest = text.partition("://")
        if scheme not in ("postgresql", "postgres"):
            raise ValueError("must begin with postgresql://")
        if not rest.partition("?")[0].rpartition("@")[2].partition("/")[2]:
            raise ValueError("must name a database: postgresql://user:password@host/database")
    return url


def _web_address(text: str, schemes: tuple[str, ...], credentials: str) -> None:
    parts = _parts(text if "://" in text else f"{schemes[0]}://{text}", schemes)
    if parts.username is not None:
        raise ValueError(f"must have no user in it: {credentials}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must be an address alone: nothing may follow the port")


def _parts(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Raises ValueError, with nothing of the URL in it: there may be a password."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:
        usable = False
    if not usable:
        escaped = "; of a password, / ? # and @ are written %2F %3F %23 and %40" if "@" in url else ""
        raise ValueError(f"must have a host, and a port between 1 and 65535 where there is one{escaped}")
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return parts
