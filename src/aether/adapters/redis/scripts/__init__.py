"""What Redis does in one step, in Lua. `common.lua` goes before each."""

from __future__ import annotations

from importlib.resources import files

NAMES = ("submit", "take", "give_back", "reject", "beat", "reap", "leave", "depth")


def load(name: str) -> str:
    folder = files(__package__)
    return "\n".join((folder / f"{part}.lua").read_text() for part in ("common", name))
