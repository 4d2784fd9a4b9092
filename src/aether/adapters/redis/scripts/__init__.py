"""What Redis does in one step, in Lua. The keys' names go before each, and `common.lua`."""

from __future__ import annotations

from importlib.resources import files

from aether.adapters.redis import names

_KEYS = {
    "SHARED": names.SHARED,
    "REJECTED": names.REJECTED,
    "OWNERS": names.OWNERS,
    "TAKEN": names.TAKEN,
    "PLACED": names.PLACED,
    "LOGS": names.LOGS,
    "LOG_USE": names.LOG_USE,
    "LOG_BYTES": names.LOG_BYTES,
    "LOG_TOTAL": names.LOG_TOTAL,
}
NAMES = ("submit", "take", "reply", "give_back", "reject", "beat", "reap", "leave", "depth", "log", "unlog")


def load(name: str) -> str:
    folder = files(__package__)
    keys = [f"local {key} = '{value}'" for key, value in _KEYS.items()]
    return "\n".join([*keys, *((folder / f"{part}.lua").read_text() for part in ("common", name))])
