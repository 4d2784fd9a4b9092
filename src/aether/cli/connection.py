"""Which platform a command talks to, and with which key."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cyclopts import Parameter

from aether.cli.failures import Refused, WrongUsage
from aether.cli.origins import Origin
from aether.cli.paths import config_file, default_data_dir, key_file

if TYPE_CHECKING:
    from aether.cli.client import Client
    from aether.cli.profiles import Profile, Profiles

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Target:
    """The platform that was chosen, and by what."""

    url: str
    url_from: Origin
    key: str | None
    key_from: Origin
    profile: str | None = None
    profile_from: Origin = field(default_factory=lambda: Origin("default"))


@Parameter(name="*", group="Connection")
@dataclass(frozen=True)
class Connection:
    """Options that every command talking to the platform has.

    An option comes before the environment, that before the profile in use, and that before the
    platform on this machine. A profile's key only ever goes to that profile's URL.
    """

    url: str | None = None
    """Where the platform listens. Default: AETHER_URL, that of the profile, http://127.0.0.1:8080"""

    key: str | None = None
    """API key. Default: AETHER_KEY, that of the profile, or the data directory's on this machine."""

    profile: str | None = None
    """Which of `aether profile list`. Default: AETHER_PROFILE, or the one in use"""

    data_dir: Path | None = None
    """Data directory of a platform on this machine. Default: AETHER_DATA_DIR, ~/.local/share/aether"""

    def open(self) -> Client:
        """A client; it connects at its first call. Raises Refused when the key can't be read."""
        # httpx takes longer to import than everything else here: only for commands that need it.
        from aether.cli.client import Client  # noqa: PLC0415 - see above

        target = self.target()
        return Client(target.url, target.key)

    def target(self) -> Target:
        """Raises WrongUsage for a profile that isn't there, Refused when a file can't be read."""
        if self.url is not None and self.profile is not None:
            raise WrongUsage("--url and --profile both say where the platform is.", hint="Give one of them.")
        url, origin = self.url, Origin("option", "--url")
        if url is None and self.profile is None and os.environ.get("AETHER_URL"):
            url, origin = os.environ["AETHER_URL"], Origin("environment", "AETHER_URL")
        if url is not None:
            return Target(url, origin, *self._key(url))
        found = self._profile()
        if found is None:
            return Target(DEFAULT_URL, Origin("default"), *self._key(DEFAULT_URL))
        name, profile, asked = found
        url_from = Origin("profile", name)
        return Target(profile.url, url_from, *self._profile_key(name, profile), name, asked)

    def _profile(self) -> tuple[str, Profile, Origin] | None:
        """The one asked for, or in use, and by what."""
        profiles = _read_profiles()
        if self.profile is not None:
            name, asked = self.profile, Origin("option", "--profile")
        elif found := os.environ.get("AETHER_PROFILE"):
            name, asked = found, Origin("environment", "AETHER_PROFILE")
        elif profiles.in_use is not None:
            name, asked = profiles.in_use, Origin("file", str(config_file()))
        else:
            return None
        return name, profiles.get(name), asked

    def _key(self, url: str) -> tuple[str | None, Origin]:
        """For a platform that is no profile's."""
        if (given := self._given_key()) is not None:
            return given
        data_dir = self.data_dir or _path_from_environment("AETHER_DATA_DIR")
        # A key belongs to the platform that made it: never sent elsewhere unless told to.
        if data_dir is None and not is_loopback(url):
            return None, Origin("default")
        return _stored_key(data_dir)

    def _profile_key(self, name: str, profile: Profile) -> tuple[str | None, Origin]:
        asked_for = self.key is None and self.profile is not None
        if not asked_for and (given := self._given_key()) is not None:
            return given
        if (key := profile.read_key()) is not None:
            return key, Origin("profile", name)
        if (given := self._given_key()) is not None:
            return given
        if self.data_dir is None and not is_loopback(profile.url):
            return None, Origin("default")
        return _stored_key(self.data_dir or _path_from_environment("AETHER_DATA_DIR"))

    def _given_key(self) -> tuple[str, Origin] | None:
        if self.key:
            return self.key, Origin("option", "--key")
        if found := os.environ.get("AETHER_KEY"):
            return found, Origin("environment", "AETHER_KEY")
        return None


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _stored_key(data_dir: Path | None) -> tuple[str | None, Origin]:
    """That of a platform on this machine; none when it was never started."""
    path = key_file(data_dir or default_data_dir())
    try:
        return path.read_text().strip() or None, Origin("file", str(path))
    except FileNotFoundError:
        return None, Origin("default")
    except OSError as error:
        raise Refused(
            f"Can't read the API key in {path}: {os.strerror(error.errno or 0)}.",
            hint="Run as the user who started the platform, or give --key.",
        ) from None


def _read_profiles() -> Profiles:
    from aether.cli.profiles import Profiles, read_profiles  # noqa: PLC0415 - most have no such file

    return read_profiles() if config_file().exists() else Profiles()


def _path_from_environment(name: str) -> Path | None:
    text = os.environ.get(name)
    return Path(text).expanduser() if text else None


DEFAULT_CONNECTION = Connection()
