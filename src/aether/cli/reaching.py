"""What it means when a platform can't be reached, in words."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from aether.cli.connection import is_loopback
from aether.cli.failures import Unreachable, WrongUsage

CHECK_URL = "Check --url, AETHER_URL, or the profile in use (aether profile list)."


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Raises Unreachable for what httpx raises."""
    try:
        yield
    except httpx.ConnectError as error:
        raise Unreachable(f"Can't reach the platform at {url} ({error}).", hint=_hint(url, error)) from None
    except httpx.TimeoutException:
        raise Unreachable(f"The platform at {url} did not answer in time.") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Unreachable(f"{url!r} can't be called: {error}.", hint=CHECK_URL) from None
    except httpx.HTTPError as error:
        raise Unreachable(f"The connection to {url} broke: {error}.") from None


def _hint(url: str, error: httpx.ConnectError) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "Name the file of the certificate or its authority: SSL_CERT_FILE=/path/chain.pem"
    return "Is it running? Start it with: aether up" if is_loopback(url) else CHECK_URL


def trusted(url: str) -> ssl.SSLContext | bool:
    """What may vouch for an HTTPS platform: the authorities in SSL_CERT_FILE, else those that all trust.

    Raises WrongUsage for a file that can't be read.
    """
    told = os.environ.get("SSL_CERT_FILE")
    if not told or not url.startswith("https:"):
        return True
    try:
        return ssl.create_default_context(cafile=told)
    except OSError as error:
        raise WrongUsage(f"SSL_CERT_FILE, {told}: {error.strerror or error}.") from None


def not_aether(url: str, what: str) -> Unreachable:
    return Unreachable(f"What answers at {url} is not Aether: {what}.", hint=CHECK_URL)
