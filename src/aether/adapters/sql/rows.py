"""Rows as values, and back. Readers ignore fields they don't know, and fill in those they miss."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from sqlalchemy import RowMapping

from aether.domain.function import Function, Limits, Version
from aether.domain.invocation import Invocation, InvocationStatus

EPOCH = datetime.fromtimestamp(0, UTC)
"""Where another program left a time out."""


def function_row(function: Function) -> dict[str, Any]:
    version = asdict(function.version)
    return {
        "id": function.id,
        "name": function.name,
        "code_path": function.code_path,
        "created_at": function.created_at,
        "updated_at": function.updated_at,
        "limits": asdict(function.limits),
        "good": None if function.good is None else version_json(function.good),
        "domains": list(function.domains),
        "archive_sha256": function.archive_sha256,
        "generation": function.generation,
        **version,
        "env_vars": dict(function.version.env_vars),
    }


def function_from(row: RowMapping) -> Function:
    version = Version(
        revision=row["revision"],
        runtime=row["runtime"],
        entrypoint=row["entrypoint"],
        code_sha256=row["code_sha256"],
        vcpu=row["vcpu"] or 1,
        memory_mb=row["memory_mb"] or 128,
        port=row["port"] or 3000,
        env_vars=row["env_vars"] or {},
    )
    return Function(
        id=row["id"],
        name=row["name"],
        version=version,
        code_path=row["code_path"] or "",
        created_at=row["created_at"] or EPOCH,
        updated_at=row["updated_at"] or row["created_at"] or EPOCH,
        limits=Limits(**_known(Limits, row["limits"] or {})),
        good=None if row["good"] is None else version_from(row["good"], version),
        domains=tuple(row["domains"] or ()),
        archive_sha256=row["archive_sha256"],
        generation=row["generation"],
    )


def version_json(version: Version) -> dict[str, Any]:
    return asdict(version) | {"env_vars": dict(version.env_vars)}


def version_from(stored: Mapping[str, Any], current: Version) -> Version:
    """What a version of another release left out is as in `current`."""
    return Version(**{**asdict(current), **_known(Version, stored)})


def invocation_values(
    invocation: Invocation, time: Callable[[datetime], str | datetime]
) -> tuple[str | int | datetime | None, ...]:
    """In the order of the table's columns, JSON as text; `time` is how the engine takes points in time."""
    error = invocation.error_message
    return (
        invocation.id,
        invocation.function_id,
        invocation.status.value,
        invocation.duration_ms,
        time(invocation.started_at),
        # Part of it may be a machine's own words, and no text.
        error if error is None else error.encode(errors="replace").decode(),
        invocation.instance_id,
        invocation.http_status,
        invocation.method,
        invocation.path,
        invocation.cold,
        _json(invocation.phases),
        invocation.call_id,
        invocation.attempts,
    )


def _json(phases: Mapping[str, float]) -> str:
    """Most calls have one phase, and one way to write it that is several times as fast as any other."""
    if len(phases) == 1:
        fn_ms = phases.get("fn")
        if type(fn_ms) is float and isfinite(fn_ms):
            return f'{{"fn": {fn_ms!r}}}'
    return json.dumps(dict(phases))


def invocation_from(row: RowMapping) -> Invocation:
    return Invocation(
        id=row["id"],
        function_id=row["function_id"],
        status=_status(row["status"]),
        duration_ms=row["duration_ms"] or 0,
        started_at=row["started_at"] or EPOCH,
        error_message=row["error_message"],
        instance_id=row["instance_id"],
        http_status=row["http_status"],
        method=row["method"],
        path=row["path"],
        cold=row["cold"],
        phases=row["phases"] or {},
        call_id=row["call_id"],
        attempts=row["attempts"],
    )


def _status(stored: str) -> InvocationStatus:
    """A word of another program's that we don't have counts as an error."""
    try:
        return InvocationStatus(stored)
    except ValueError:
        return InvocationStatus.ERROR


def _known(of: type[Limits | Version], stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(of)}
    return {name: value for name, value in stored.items() if name in names}
