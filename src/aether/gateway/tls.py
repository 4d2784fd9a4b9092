"""The certificate that the gateway serves, read again when its files change."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import structlog

from aether.domain.errors import InvalidRequest
from aether.http.pem import load_pair, stamps

log = structlog.get_logger()

LOOK_EVERY_S = 1.0


class BadCertificate(InvalidRequest):
    """The files can't be served; `fields` names the one that is wrong, where it is known."""


class Certificate:
    """A certificate chain and its key, as PEM files. `follow` has to run for changes to be noticed.

    `context` is for servers: TLS 1.2 and later, HTTP/1.1 only. Raises BadCertificate.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._stamp = stamps(self._chain, self._key)
        self._context = _server_context()
        self._load()

    def context(self) -> ssl.SSLContext:
        return self._context

    async def follow(self) -> None:
        """For ever. A pair that can't be served is logged, and the one before stays."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.refresh()

    def refresh(self) -> bool:
        """Look now; whether a new pair is served from here on."""
        stamp = stamps(self._chain, self._key)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._load()
        except BadCertificate as error:
            log.warning("new certificate not taken, the one before is still served", reason=error.message)
            return False
        log.info("new certificate served", file=str(self._chain))
        return True

    def _load(self) -> None:
        """Try the pair out before it goes into the context that is in use: half of one must not get there."""
        chain, key = _read("tls_cert", self._chain), _read("tls_key", self._key)
        try:
            load_pair(_server_context(), chain, key)
        except (ssl.SSLError, ValueError) as error:
            raise _refusal(self._chain, self._key, error) from None
        load_pair(self._context, chain, key)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = f"{path}: {error.strerror}"
        raise BadCertificate(f"can't read {why}", fields={setting: why}) from None


def _refusal(chain: Path, key: Path, error: Exception) -> BadCertificate:
    reason = getattr(error, "reason", None) or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return BadCertificate(
            f"{key} is not the key of {chain}", fields={"tls_key": "not the certificate's key"}
        )
    if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError):
        return BadCertificate(f"{key}: {error}", fields={"tls_key": str(error)})
    return BadCertificate(
        f"{chain} and {key} can't be served: {reason}", hint="both have to be PEM, the chain leaf first"
    )
