"""Platforms that a user talks to, by name: `~/.config/aether/config.toml`.

profile = "production"            # the one in use, where none is asked for

[profiles.production]
url = "https://faas.example.com"
key_file = "/home/ada/keys/faas"  # or key = "..."
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from aether.cli.failures import Refused, WrongUsage
from aether.cli.paths import config_file

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
PRIVATE = 0o600
OTHERS = stat.S_IRWXG | stat.S_IRWXO
FIELDS = frozenset({"url", "key", "key_file"})


@dataclass(frozen=True, slots=True)
class Profile:
    """One platform; its key is given or in a file, or there is none."""

    url: str
    key: str | None = None
    key_file: str | None = None

    def read_key(self) -> str | None:
        """Raises Refused when the file can't be read."""
        if self.key is not None or self.key_file is None:
            return self.key
        path = Path(self.key_file).expanduser()
        try:
            return path.read_text().strip() or None
        except OSError as error:
            raise Refused(f"Can't read the API key in {path}: {error.strerror}.") from None


@dataclass(frozen=True, slots=True)
class Profiles:
    """The whole file."""

    in_use: str | None = None
    entries: Mapping[str, Profile] = field(default_factory=dict)

    def get(self, name: str) -> Profile:
        """Raises WrongUsage, with the names there are."""
        if name not in self.entries:
            there = f"There are: {', '.join(sorted(self.entries))}." if self.entries else "There are none."
            raise WrongUsage(
                f"There is no profile {name!r}.", hint=f"{there} Make one: aether profile set NAME --url URL"
            )
        return self.entries[name]

    def put(self, name: str, profile: Profile) -> Self:
        if not NAME.fullmatch(name):
            raise WrongUsage(f"{name!r} can't name a profile.", hint="Letters, digits, - and _.")
        return replace(self, entries={**self.entries, name: profile})

    def without(self, name: str) -> Self:
        self.get(name)
        entries = {other: profile for other, profile in self.entries.items() if other != name}
        return replace(self, entries=entries, in_use=None if self.in_use == name else self.in_use)


def read_profiles() -> Profiles:
    """None at all when there is no file. Raises Refused for one that is wrong, or open to others."""
    path = config_file()
    try:
        with path.open("rb") as file:
            open_to_others = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & OTHERS
            found = tomllib.load(file)
    except FileNotFoundError:
        return Profiles()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not TOML: {error}.") from None
    profiles = _checked(path, found)
    if open_to_others and any(profile.key for profile in profiles.entries.values()):
        raise Refused(f"{path} has keys in it, and others can read it.", hint=f"Run: chmod 600 {path}")
    return profiles


def write_profiles(profiles: Profiles) -> Path:
    """Whole or not at all, and for nobody else to read; returns where."""
    path = config_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, PRIVATE)
        file.writelines(_lines(profiles))
        file.flush()
        os.fsync(descriptor)
    partial.rename(path)
    return path


def _lines(profiles: Profiles) -> Iterator[str]:
    yield "# Written by `aether profile`, which keeps no comments.\n"
    if profiles.in_use is not None:
        yield f"profile = {_string(profiles.in_use)}\n"
    for name, profile in sorted(profiles.entries.items()):
        yield f"\n[profiles.{name}]\n"
        for key in ("url", "key", "key_file"):
            if (value := getattr(profile, key)) is not None:
                yield f"{key} = {_string(value)}\n"


def _string(value: str) -> str:
    """A JSON string is a TOML string, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _checked(path: Path, found: Mapping[str, Any]) -> Profiles:
    problem = next(_problems(found), None)
    if problem is not None:
        raise Refused(f"{path} is wrong: {problem}.")
    entries = {name: Profile(**profile) for name, profile in found.get("profiles", {}).items()}
    return Profiles(found.get("profile"), entries)


def _problems(found: Mapping[str, Any]) -> Iterator[str]:
    for name in found.keys() - {"profile", "profiles"}:
        yield f"there is no {name!r} in it"
    if not isinstance(found.get("profile", ""), str):
        yield "profile must be the name of one"
    profiles = found.get("profiles", {})
    if not isinstance(profiles, dict):
        yield "profiles must be tables, [profiles.NAME]"
        return
    for name, profile in profiles.items():
        if not NAME.fullmatch(name):
            yield f"{name!r} can't name a profile"
        elif not isinstance(profile, dict) or "url" not in profile:
            yield f"profiles.{name} needs a url"
        else:
            for key, value in profile.items():
                if key not in FIELDS:
                    yield f"profiles.{name}.{key} is none of {', '.join(sorted(FIELDS))}"
                elif not isinstance(value, str):
                    yield f"profiles.{name}.{key} must be text in quotes"
