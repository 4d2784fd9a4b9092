"""What the frames of the control channel mean: the guest's as values, the host's as builders."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aether.ports.vmm import End, EndReason, LogLine, MachineSpec
from aether.vmm.frames import ControlError, Frame

PROTOCOL_VERSION = 1
TEXT_LIMIT = 4096
"""Characters of a guest's text (detail, agent version) that are kept."""

_STREAMS = {ord("1"): "stdout", ord("2"): "stderr", ord("a"): "agent"}


@dataclass(frozen=True, slots=True)
class Hello:
    """The agent has the channel and waits for metadata."""

    agent: str
    uptime_ms: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The function listens on its port."""

    uptime_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The function is over, or never began; the guest reboots now."""

    reason: str
    end: End


@dataclass(frozen=True, slots=True)
class IdentityTaken:
    """Answer to an identity message."""


@dataclass(frozen=True, slots=True)
class Pong:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """Answer to `who`. `state` is `waiting`, `starting`, `ready` or `ending`."""

    state: str
    instance_id: str


Message = Hello | Ready | LogLine | Ended | IdentityTaken | Pong | Status


def read_message(frame: Frame) -> Message:
    """Raises ControlError when the payload is not what the kind calls for."""
    reader = _READERS.get(frame.kind)
    if reader is None:
        raise ControlError(f"a guest sends no frame of kind {frame.kind!r}")
    return reader(frame)


def metadata(spec: MachineSpec, token: str) -> Frame:
    """First boot: who it is, and what to run."""
    return _json_frame(
        "M",
        {
            "metadata": {
                "token": token,
                "env": dict(spec.env),
                "entrypoint": spec.entrypoint,
                "port": spec.port,
            },
            "command": list(spec.runtime.command),
            "user": spec.runtime.user,
            "group": spec.runtime.group,
            "instance_id": spec.instance_id,
            "function_id": spec.function_id,
        },
    )


def identity(instance_id: str, token: str, time_ns: int, entropy: bytes) -> Frame:
    """After a restore. `time_ns` is the wall clock to set; `entropy` at least 64 bytes."""
    return _json_frame(
        "I",
        {
            "instance_id": instance_id,
            "token": token,
            "time_ns": time_ns,
            "entropy": base64.b64encode(entropy).decode(),
        },
    )


def terminate(grace_s: float) -> Frame:
    return Frame("T", str(max(0, round(grace_s * 1000))).encode())


def ping(payload: bytes) -> Frame:
    return Frame("P", payload)


def who() -> Frame:
    return Frame("W")


def _json_frame(kind: str, document: dict[str, Any]) -> Frame:
    return Frame(kind, json.dumps(document, separators=(",", ":")).encode())


def _hello(frame: Frame) -> Hello:
    document = _document(frame)
    if document.get("protocol") != PROTOCOL_VERSION:
        raise ControlError(f"the agent speaks protocol {document.get('protocol')!r}")
    return Hello(_text(document, "agent"), _number(document, "uptime_ms"))


def _ready(frame: Frame) -> Ready:
    return Ready(_number(_document(frame), "uptime_ms"))


def _status(frame: Frame) -> Status:
    document = _document(frame)
    return Status(_text(document, "state"), _text(document, "instance_id"))


def _log(frame: Frame) -> LogLine:
    payload = frame.payload
    stream = _STREAMS.get(payload[0]) if payload else None
    if stream is None:
        raise ControlError(f"log frame of unknown stream {payload[:1]!r}")
    text = payload[1:].decode(errors="replace")
    call_id: str | None = None
    # The runtime's bootstrap marks a line printed within a call: \x1e, the call's id, \x1f.
    if text.startswith("\x1e"):
        marked, separator, rest = text[1:].partition("\x1f")
        if separator:
            call_id, text = marked, rest
    return LogLine(stream, text, datetime.now(UTC), call_id)


def _ended(frame: Frame) -> Ended:
    document = _document(frame)
    reason, detail = _text(document, "reason"), _text(document, "detail")
    code, number = _optional_number(document, "code"), _optional_number(document, "signal")
    if code is not None:
        cause = f"exit code {code}"
    elif number is not None:
        cause = f"signal {_signal_name(number)}"
    else:
        cause = ""
    told = EndReason.OUT_OF_MEMORY if reason == "out_of_memory" else EndReason.EXITED
    return Ended(reason, End(told, ": ".join(part for part in (cause, detail) if part) or reason))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _document(frame: Frame) -> dict[str, Any]:
    try:
        document = json.loads(frame.payload)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"frame {frame.kind} holds no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ControlError(f"frame {frame.kind} holds no JSON object")
    return document


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key, "")
    if not isinstance(value, str):
        raise ControlError(f"{key} is no text")
    return value[:TEXT_LIMIT]


def _number(document: dict[str, Any], key: str) -> int:
    value = _optional_number(document, key)
    if value is None:
        raise ControlError(f"{key} is missing")
    return value


def _optional_number(document: dict[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise ControlError(f"{key} is no whole number")
    return value


_READERS: Mapping[str, Callable[[Frame], Message]] = {
    "H": _hello,
    "R": _ready,
    "L": _log,
    "E": _ended,
    "K": lambda _frame: IdentityTaken(),
    "Q": lambda frame: Pong(frame.payload),
    "S": _status,
}
