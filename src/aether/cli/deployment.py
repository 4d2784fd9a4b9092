"""Bringing a function to what was asked for: its fields, then its code where that differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aether.cli import shapes
from aether.cli.client import Client
from aether.cli.failures import ApiRefused, CommandFailed
from aether.cli.package import Package
from aether.cli.upload_progress import upload_progress


@dataclass(frozen=True, slots=True)
class Deployed:
    """`code` is the API's answer to the upload; None when the platform had this archive already."""

    function: shapes.FunctionJson
    code: shapes.CodeJson | None
    created: bool
    changed: bool
    """Whether anything is other than before."""


def current_function(client: Client, name: str) -> shapes.FunctionJson | None:
    try:
        return client.function(name)
    except ApiRefused as refused:
        if refused.code != "function_not_found":
            raise
        return None


def apply(
    client: Client,
    name: str,
    current: shapes.FunctionJson | None,
    changes: Mapping[str, Any],
    package: Package,
    *,
    upload_always: bool,
) -> Deployed:
    """Fields first: the archive is checked against the entrypoint. All of it, or nothing."""
    before: Mapping[str, Any] = current or {}
    real = {field: value for field, value in changes.items() if current is None or before.get(field) != value}
    if current is None:
        function = client.create({"name": name, **real})
    else:
        function = client.update(current["id"], real) if real else current
    if not upload_always and before.get("archive_sha256") == package.sha256():
        return Deployed(function, None, created=False, changed=bool(real))
    try:
        with upload_progress(name, package.size_bytes) as sent:
            code = _upload(client, function["id"], package, sent)
    except (CommandFailed, KeyboardInterrupt):
        _undo(client, function["id"], None if current is None else {field: before[field] for field in real})
        raise
    return Deployed(client.function(function["id"]), code, created=current is None, changed=True)


def _upload(
    client: Client, function_id: str, package: Package, sent: Callable[[int], None]
) -> shapes.CodeJson:
    def pieces() -> Iterator[bytes]:
        for piece in package.pieces():
            yield piece
            sent(len(piece))

    return client.upload(function_id, pieces(), filename=package.filename, size_bytes=package.size_bytes)


def _undo(client: Client, function_id: str, before: Mapping[str, Any] | None) -> None:
    """Remove a new function, or give an old one its fields back; why we are here is told already."""
    with suppress(CommandFailed):
        if before is None:
            client.delete(function_id)
        elif before:
            client.update(function_id, before)
