"""`aether logs`: what a function printed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from aether.cli import output, shapes
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.failures import WrongUsage
from aether.cli.options import Json

if TYPE_CHECKING:
    from aether.cli.client import Client

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def logs(
    name: str,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    since: str | None = None,
    call_id: str | None = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"], show_default=True)] = 200,
    json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Print what a function printed, oldest line first.

    Each line: time, instance, stream (unless it's stdout), text.

    **Examples**

    ```
    aether logs hello
    aether logs hello -f
    aether logs hello --since 10m --json | jq -r .text
    aether logs hello --call-id call-1f0c6d2f9a7b3e5d8c40
    ```

    Parameters
    ----------
    name
        Name or id of the function.
    follow
        Go on with new lines as they come, until Ctrl-C, or until the platform stops.
    since
        Only lines newer than this: `90s`, `10m`, `2h`, `1d` ago, or an RFC 3339 time.
    call_id
        Only lines of one call: the `X-Call-Id` of its answer.
    limit
        The newest so many lines that match.
    json
        Print one JSON object a line.
    """
    moment = None if since is None else _moment(since, datetime.now(UTC))
    with connection.open() as client:
        lines = _lines(client, name, limit=limit, since=moment, call_id=call_id, follow=follow)
        for line in lines:
            print(_json_line(line) if json else _text_line(line), flush=follow)
    if follow:
        output.say("The platform ended the stream of lines: it is stopping.")


def _lines(
    client: Client, name: str, *, limit: int, since: str | None, call_id: str | None, follow: bool
) -> Iterator[shapes.LogJson]:
    if follow:
        yield from client.follow_logs(name, limit=limit, since=since, call_id=call_id)
    else:
        yield from client.logs(name, limit=limit, since=since, call_id=call_id)


def _moment(text: str, now: datetime) -> str:
    """An RFC 3339 time in UTC. Raises WrongUsage."""
    if found := re.fullmatch(r"(\d{1,9})([smhd])", text):
        ago = timedelta(seconds=int(found[1]) * UNITS_S[found[2]])
        moment = now - min(ago, now - datetime.min.replace(tzinfo=UTC))
    else:
        try:
            moment = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise WrongUsage(
                f"--since {text}: that is no time.", hint="For example 10m, 2h, or 2026-01-31T12:00:00Z"
            ) from None
    return moment.isoformat().replace("+00:00", "Z")


def _text_line(line: shapes.LogJson) -> str:
    stream = "" if line["stream"] == "stdout" else f" {line['stream']}"
    head = f"{output.local_time(line['at'])} {line.get('instance_id') or ''}{stream}"
    text = line["text"]
    # A file or a program gets what the function wrote, byte for byte.
    return f"{head} {output.printable(text) if sys.stdout.isatty() else text}"


def _json_line(line: shapes.LogJson) -> str:
    from json import dumps  # noqa: PLC0415 - the option's name hides the module's

    return dumps(line)
