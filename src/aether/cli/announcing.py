"""What whoever starts a gateway is told: where it is, or why it can't listen."""

from __future__ import annotations

import errno
import sys

from aether.cli.failures import Refused
from aether.cli.output import say
from aether.cli.settings import Settings
from aether.cli.up_options import told_elsewhere


def url_of(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def announce(settings: Settings, what: str, address: tuple[str, int], by: str = "") -> None:
    """`what` is up, `by` some means."""
    url = url_of("https" if settings.tls_cert else "http", *address)
    say(f"{what} is up at {url}{by and f' ({by})'}.")
    for line in told_elsewhere(settings):
        say(line)
    if settings.auth == "off":
        say("The management API is open to whoever reaches it (auth is off).")
    elif settings.api_key.get_secret_value():
        say(f"The API's key is that of {settings.told_name('api_key')}.")
    else:
        say(f"The API's key is in {settings.key_file}; the CLI finds it there.")
    say(f"API documentation: {url}/docs    Stop with Ctrl-C.")
    sys.stderr.flush()


def first_of(group: ExceptionGroup) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def reason(settings: Settings, group: ExceptionGroup, command: str) -> Exception:
    """What the first error of the group means, in a sentence where it is a user's to mend."""
    error = first_of(group)
    if not isinstance(error, OSError):
        return error
    if error.errno == errno.EADDRINUSE:
        return Refused(
            f"Port {settings.port} on {settings.host} is in use.",
            hint=f"Stop what listens there, or take another: {command} --port N (0 takes a free one)",
        )
    if error.errno in {errno.EADDRNOTAVAIL, errno.EACCES}:
        return Refused(f"Can't listen on {settings.host}:{settings.port}: {error.strerror}.")
    return error
