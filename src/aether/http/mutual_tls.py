"""TLS between relays of one cluster: each shows a certificate, and believes what the cluster's CA signed.

Names are not compared. The CA is for this cluster and nothing else, so that whom it signed for is a member;
the addresses of members are in the registry, and change. What a certificate is for does count (extended key
usage, where it has any): one for clients only can't pass for an instance's proxy.
"""

import asyncio
import contextlib
import ssl
from enum import Enum
from pathlib import Path

import structlog

from aether.http.pem import load_pair, stamps

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
_FLIGHTS = 4
"""Of a handshake, there and back, and some more."""


class Side(Enum):
    """Who begins a connection is its client."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> "Side":
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


class BadCredentials(ValueError):
    """The files can't be used; `part` is the one that is wrong: cert, key or ca."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(why)
        self.part = part


class MutualTls:
    """One side's certificate, its key, and the CA, as PEM files. `follow` has to run to notice changes.

    `context` is always that of the files as they are, or as they last could be used. Raises BadCredentials.
    """

    def __init__(self, cert: Path, key: Path, ca: Path, side: Side) -> None:
        self._files = (cert, key, ca)
        self._side = side
        self._stamp = stamps(*self._files)
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        return self._context

    async def follow(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.refresh()

    def refresh(self) -> bool:
        """Look now; whether what is new is in use from here on, for connections that are yet to be made."""
        stamp = stamps(*self._files)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._context = self._load()
        except BadCredentials as error:
            log.warning("new credentials not taken, those before are still used", reason=str(error))
            return False
        log.info("new credentials in use", file=str(self._files[0]))
        return True

    def _load(self) -> ssl.SSLContext:
        cert_file, key_file, ca_file = self._files
        cert, key, ca = _read("cert", cert_file), _read("key", key_file), _read("ca", ca_file)
        context = _context(self._side)
        try:
            load_pair(context, cert, key)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            of_key = reason == "KEY_VALUES_MISMATCH" or not isinstance(error, ssl.SSLError)
            told = f"{cert_file} and {key_file}: {reason}"
            raise BadCredentials("key" if of_key else "cert", told) from None
        try:
            context.load_verify_locations(cadata=ca.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise BadCredentials("ca", f"{ca_file}: {getattr(error, 'reason', None) or 'not PEM'}") from None
        try:
            _try(cert, key, ca, self._side)
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or str(error)
            told = f"{ca_file} does not vouch for {cert_file} as a {self._side.value}'s: {why}"
            raise BadCredentials("cert", told) from None
        return context


def _context(side: Side) -> ssl.SSLContext:
    if side is Side.SERVER:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # what lies unread on an idle connection would make it look closed
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        # With 1.3 a client learns whether its certificate was taken after it has sent its request: one that
        # was refused could not be told from one that was delivered.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["http/1.1"])
    return context


def _try(cert: bytes, key: bytes, ca: bytes, side: Side) -> None:
    """Shake hands with ourselves, in memory: does the CA vouch for this certificate, for that side?

    Only that is looked at: a certificate need not be good for both sides. Raises SSLError.
    """
    ours, theirs = _context(side), _context(side.other)
    ours.verify_mode = ssl.CERT_NONE
    for context in (ours, theirs):
        load_pair(context, cert, key)
    theirs.load_verify_locations(cadata=ca.decode("ascii"))
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = ours.wrap_bio(to_us, to_them, server_side=side is Side.SERVER)
    them = theirs.wrap_bio(to_them, to_us, server_side=side is Side.CLIENT)
    for _ in range(_FLIGHTS):
        for end in (them, us):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()


def _read(part: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCredentials(part, f"can't read {path}: {error.strerror}") from None
