"""What the system that Aether grew from let a function say, and what becomes of it.

It checked little, and ran whatever had code under its one runtime, Node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from aether.domain.function import Function, Version

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""An id is part of keys in stores, and of file names."""
NODE = re.compile(r"node([-_. ]?js)?([-_. ]?v?\d+[\d.x]*)?", re.IGNORECASE)
LABEL_CHARACTERS = 63

BOUNDS = {"vcpu": (1, 16, 1), "memory_mb": (64, 16_384, 128), "port": (1, 65_535, 3000)}
"""Least, most, and what holds otherwise. Source: the wire contract, "Defaults per function"."""


def mended(function: Function) -> tuple[Function, list[str]]:
    """The function as our platform can run it, and what was changed."""
    version, told = function.version, list[str]()
    if version.runtime != "node" and NODE.fullmatch(version.runtime):
        told.append(f"runtime {version.runtime} is node")
        version = replace(version, runtime="node")
    for field, (least, most, otherwise) in BOUNDS.items():
        given = getattr(version, field)
        wanted = min(max(given, least), most) if isinstance(given, int) else otherwise
        if wanted != given:
            told.append(f"{field} {given!r} is {wanted}")
            version = replace(version, **{field: wanted})  # type: ignore[arg-type]
    env_vars, dropped = _env_vars(version.env_vars)
    if dropped:
        told.append(f"env_vars lost {', '.join(dropped)}")
    mended_version = version if env_vars == version.env_vars else replace(version, env_vars=env_vars)
    return replace(function, version=mended_version), told


def free_name(name: str, taken: Collection[str]) -> str:
    """With a number behind it that nobody has; a DNS label stays one."""
    number = 2
    while True:
        suffix = f"-{number}"
        short = name if len(name) > LABEL_CHARACTERS else name[: LABEL_CHARACTERS - len(suffix)].rstrip("-")
        if short + suffix not in taken:
            return short + suffix
        number += 1


def runs(version: Version, code_path: str) -> str:
    """In words, what it runs."""
    if version.code_sha256:
        return f"code {version.code_sha256[:12]}"
    return "code.ext4, whatever that is" if code_path else "nothing: it has no code"


def _env_vars(given: Mapping[str, object]) -> tuple[dict[str, str], list[str]]:
    """Values as text, and the names of those that no environment can hold, or that are the platform's own."""
    kept, dropped = dict[str, str](), list[str]()
    for name, value in given.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if not name or "=" in name or "\0" in name + text or name == "PORT" or name.startswith("AETHER_"):
            dropped.append(name.replace("\0", "?") or "''")
        else:
            kept[name] = text
    return kept, dropped
