"""`aether profile`: names for the platforms that a user talks to."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import App, Parameter

from aether.cli import output
from aether.cli.failures import WrongUsage
from aether.cli.options import PLAIN, Json
from aether.cli.paths import config_file
from aether.cli.profiles import Profile, read_profiles, write_profiles

profile = App(
    name="profile",
    default_parameter=PLAIN,
    help="""Name the platforms that you talk to, with their keys.

They are kept in `~/.config/aether/config.toml`, which only you can read.

**Examples**

```
aether profile set production --url https://faas.example.com --key-file ~/keys/faas
aether list --profile production
aether profile use production
```
""",
)


@profile.command(name="list")
def list_profiles(*, json: Json = False) -> None:
    """List profiles; the one in use has a star.

    Parameters
    ----------
    json
        Print a list of objects: `name`, `url`, `in_use`, `key_file`, and whether there is a `key`.
    """
    found = read_profiles()
    # What counts now: the shell's own choice comes before the file's.
    in_use = os.environ.get("AETHER_PROFILE") or found.in_use
    entries = sorted(found.entries.items())
    if json:
        told = [
            {"name": n, "url": p.url, "in_use": n == in_use, "key": bool(p.key), "key_file": p.key_file}
            for n, p in entries
        ]
        output.print_json(told)
    elif entries:
        rows = [("*" if name == in_use else "", name, entry.url, _key_of(entry)) for name, entry in entries]
        output.print_table(("", "NAME", "URL", "KEY"), rows)
    else:
        output.say("No profiles. Make one: aether profile set NAME --url URL")


@profile.command
def use(name: str | None = None, /) -> None:
    """Talk to this platform from now on, where nothing else is said; without a name, to none.

    Parameters
    ----------
    name
        Name of the profile. Without one, commands talk to the platform on this machine again.
    """
    found = read_profiles()
    if name is not None:
        found.get(name)
    write_profiles(replace(found, in_use=name))
    output.say("No profile is in use." if name is None else f"Using {name}: {found.get(name).url}")


@profile.command(name="set")
def set_profile(
    name: str,
    /,
    *,
    url: str | None = None,
    key: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    key_file: Path | None = None,
) -> None:
    """Make a profile, or change what is given of one.

    Parameters
    ----------
    name
        Letters, digits, - and _.
    url
        Where the platform listens. Needed for a new profile.
    key
        API key; `-` reads it from standard input, which leaves no trace in the shell's history.
    key_file
        File that has the key, read at every use.
    """
    found = read_profiles()
    entry = found.entries.get(name)
    if key is not None and key_file is not None:
        raise WrongUsage("--key and --key-file both give the key.", hint="Give one of them.")
    if url is not None and urlsplit(url).scheme not in {"http", "https"}:
        raise WrongUsage(f"{url!r} is not an http or https URL.")
    if entry is None and url is None:
        raise WrongUsage(f"There is no profile {name!r} yet.", hint="A new one needs --url.")
    # A key is that of one platform: it doesn't move with the profile to another.
    changed = Profile(url) if url is not None and (entry is None or entry.url != url) else entry
    assert changed is not None
    if key is not None:
        changed = Profile(changed.url, key=_given(key))
    elif key_file is not None:
        changed = Profile(changed.url, key_file=str(key_file.expanduser().absolute()))
    path = write_profiles(found.put(name, changed))
    output.say(f"Wrote {path}.")
    if entry is not None and entry != changed and (entry.key or entry.key_file) and not _has_key(changed):
        output.say(f"The key of {entry.url} was dropped: give that of {changed.url}.")


@profile.command(name="rm")
def remove(name: str, /) -> None:
    """Remove a profile.

    Parameters
    ----------
    name
        Name of the profile.
    """
    write_profiles(read_profiles().without(name))
    output.say(f"Removed {name} from {config_file()}.")


def _given(key: str) -> str:
    text = (sys.stdin.readline() if key == "-" else key).strip()
    if not text.isprintable() or not text:
        raise WrongUsage("That is no API key.")
    return text


def _has_key(entry: Profile) -> bool:
    return bool(entry.key or entry.key_file)


def _key_of(entry: Profile) -> str:
    return entry.key_file or ("given" if entry.key else "none")
