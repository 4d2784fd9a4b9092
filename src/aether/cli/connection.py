"""Which platform a command talks to, and with which key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from aether.cli.failures import Refused
from aether.cli.paths import default_data_dir, key_file

if TYPE_CHECKING:
    from aether.cli.client import Client

DEFAULT_URL = "http://127.0.0.1:8080"


@Parameter(name="*", group="Connection")
@dataclass(frozen=True)
class Connection:
    """Options that every command talking to the platform has."""

    url: Annotated[str, Parameter(env_var="AETHER_URL", show_default=True)] = DEFAULT_URL
    """Where the platform listens."""

    key: Annotated[str | None, Parameter(env_var="AETHER_KEY")] = None
    """API key. Default, for a platform on this machine: the one in the data directory."""

    data_dir: Annotated[Path | None, Parameter(env_var="AETHER_DATA_DIR")] = None
    """Data directory of a platform on this machine. Default: ~/.local/share/aether"""

    def open(self) -> Client:
        """A client; it connects at its first call. Raises Refused when the key file can't be read."""
        # httpx takes longer to import than everything else here: only for commands that need it.
        from aether.cli.client import Client  # noqa: PLC0415 - see above

        return Client(self.url, self.chosen_key())

    def chosen_key(self) -> str | None:
        """The one given, else the stored one of a platform on this machine."""
        if self.key:
            return self.key
        # A key belongs to the platform that made it: never sent elsewhere unless told to.
        if self.data_dir is None and not is_loopback(self.url):
            return None
        path = key_file(self.data_dir or default_data_dir())
        try:
            return path.read_text().strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(
                f"Can't read the API key in {path}: {os.strerror(error.errno or 0)}.",
                hint="Run as the user who started the platform, or give --key.",
            ) from None


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


DEFAULT_CONNECTION = Connection()
