"""What it means when a platform can't be reached, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from aether.cli.connection import is_loopback
from aether.cli.failures import Unreachable

CHECK_URL = "Check --url, AETHER_URL, or the profile in use (aether profile list)."


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Raises Unreachable for what httpx raises."""
    try:
        yield
    except httpx.ConnectError as error:
        here = is_loopback(url)
        raise Unreachable(
            f"Can't reach the platform at {url} ({error}).",
            hint="Is it running? Start it with: aether up" if here else CHECK_URL,
        ) from None
    except httpx.TimeoutException:
        raise Unreachable(f"The platform at {url} did not answer in time.") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Unreachable(f"{url!r} can't be called: {error}.", hint=CHECK_URL) from None
    except httpx.HTTPError as error:
        raise Unreachable(f"The connection to {url} broke: {error}.") from None


def not_aether(url: str, what: str) -> Unreachable:
    return Unreachable(f"What answers at {url} is not Aether: {what}.", hint=CHECK_URL)
