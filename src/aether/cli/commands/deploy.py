"""`aether deploy`: create a function, or bring it up to date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from aether.cli import output, shapes
from aether.cli.commands.function_fields import NOTHING_GIVEN, Fields, environment
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.entrypoint import choose_entrypoint
from aether.cli.failures import ApiRefused, CommandFailed, WrongUsage
from aether.cli.options import Json
from aether.domain.function import NAME

if TYPE_CHECKING:
    from aether.cli.client import Client
    from aether.cli.package import Package

DEFAULT_RUNTIME = "node"
LABEL_CHARACTERS = 63


def deploy(
    path: Path,
    /,
    *,
    name: Annotated[str | None, Parameter(name=["--name", "-n"])] = None,
    env: Annotated[tuple[str, ...], Parameter(name=["--env", "-e"])] = (),
    unset_env: tuple[str, ...] = (),
    fields: Fields = NOTHING_GIVEN,
    json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Create a function from a folder, a file, a zip or a tar.gz; or update the one of that name.

    The next call is served by the new code. If the platform refuses it, all stays as it was.
    `.aetherignore` names files of a folder that stay out, by the rules of `.gitignore`.

    **Examples**

    ```
    aether deploy examples/hello-node
    aether deploy . --name shop --memory 256 --env STAGE=test --env API_TOKEN
    aether deploy build/app.zip --entrypoint server.js
    ```

    Parameters
    ----------
    path
        Folder, single file, zip or tar.gz with the function's code.
    name
        Name of the function, a DNS label. Default: made from that of the folder or file.
    env
        `NAME=value` for its environment; a bare `NAME` takes your shell's value. Repeatable.
    unset_env
        Name of a variable to take away. Repeatable.
    json
        Print one object: `created`, `function`, `code`, `url`.
    """
    from aether.cli.package import open_package  # noqa: PLC0415 - tar, zip and gzip: only when needed

    name = name or name_from(path)
    changes = fields.given()
    with ExitStack() as stack:
        with output.waiting("Packing"):
            package = stack.enter_context(open_package(path))
        client = stack.enter_context(connection.open())
        current = _current(client, name)
        changes |= environment(env, unset_env, current["env_vars"] if current else {})
        changes |= _entrypoint(package, changes, current)
        with output.waiting(f"Deploying {name} ({output.size(package.size_bytes)})"):
            function, code = _apply(client, name, current, changes, package)
        url = client.call_url(function["name"])
    if json:
        told = {"created": current is None, "function": function, "code": code, "url": url}
        output.print_json(told)
    else:
        _tell(function, code, url, created=current is None)


def name_from(path: Path) -> str:
    """A DNS label out of a folder's or file's name. Raises WrongUsage when nothing is left of it."""
    found = path.resolve().name
    if not path.is_dir():
        found = re.sub(r"\.(tar\.gz|tgz|zip|[a-z]+)$", "", found, flags=re.IGNORECASE)
    label = re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")[:LABEL_CHARACTERS].strip("-")
    if not NAME.fullmatch(label):
        raise WrongUsage(f"{found!r} makes no name for a function.", hint="Give one with --name.")
    return label


def _current(client: Client, name: str) -> shapes.FunctionJson | None:
    try:
        return client.function(name)
    except ApiRefused as refused:
        if refused.code != "function_not_found":
            raise
        return None


def _entrypoint(
    package: Package, changes: Mapping[str, Any], current: shapes.FunctionJson | None
) -> dict[str, str]:
    runtime = changes.get("runtime") or (current["runtime"] if current else DEFAULT_RUNTIME)
    chosen = choose_entrypoint(
        package, runtime, changes.get("entrypoint"), current["entrypoint"] if current else None
    )
    return {} if chosen is None else {"entrypoint": chosen}


def _apply(
    client: Client,
    name: str,
    current: shapes.FunctionJson | None,
    changes: Mapping[str, Any],
    package: Package,
) -> tuple[shapes.FunctionJson, shapes.CodeJson]:
    """Fields first: the archive is checked against the entrypoint. All of it, or nothing."""
    before: Mapping[str, Any] = current or {}
    real = {field: value for field, value in changes.items() if current is None or before.get(field) != value}
    if current is None:
        function = client.create({"name": name, "runtime": DEFAULT_RUNTIME, **real})
    else:
        function = client.update(current["id"], real) if real else current
    try:
        code = client.upload(
            function["id"], package.pieces(), filename=package.filename, size_bytes=package.size_bytes
        )
    except (CommandFailed, KeyboardInterrupt):
        _undo(client, function["id"], None if current is None else {field: before[field] for field in real})
        raise
    return client.function(function["id"]), code


def _undo(client: Client, function_id: str, before: Mapping[str, Any] | None) -> None:
    """Remove a new function, or give an old one its fields back; why we are here is told already."""
    with suppress(CommandFailed):
        if before is None:
            client.delete(function_id)
        elif before:
            client.update(function_id, before)


def _tell(function: shapes.FunctionJson, code: shapes.CodeJson, url: str, *, created: bool) -> None:
    name = function["name"]
    print(f"{'Created' if created else 'Updated'} {output.bold(name)} ({function['id']}).")
    output.print_fields(
        [
            ("url", url),
            ("entrypoint", function["entrypoint"]),
            ("code", f"sha256 {code['sha256']}, {output.size(code['size_bytes'])}"),
            ("call it", f"aether invoke {name}"),
        ]
    )
