"""Frames of the control channel between worker and guest agent, without I/O.

A frame is a u32 big-endian payload length (at most 1 MiB), one ASCII byte of type, the payload.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = struct.Struct(">Ic")
PAYLOAD_LIMIT_BYTES = 1024 * 1024
FROM_GUEST = frozenset(b"HRLEKQS")
FROM_HOST = frozenset(b"MITPW")


class ControlError(Exception):
    """The guest sent what the protocol does not allow: the machine has failed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """`kind` is one character, as in the protocol: `H` for hello, and so on."""

    kind: str
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """Raises ValueError when the payload is over the limit or the kind is not a host's."""
    kind = frame.kind.encode("ascii")
    if len(frame.payload) > PAYLOAD_LIMIT_BYTES:
        raise ValueError(f"payload of {len(frame.payload)} bytes is over {PAYLOAD_LIMIT_BYTES}")
    if len(kind) != 1 or kind[0] not in FROM_HOST:
        raise ValueError(f"a host sends no frame of kind {frame.kind!r}")
    return HEADER.pack(len(frame.payload), kind) + frame.payload


class FrameDecoder:
    """Cuts the guest's bytes into frames, whatever pieces they come in.

    Holds at most one frame's bytes beyond what a call brought.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are whole now. Raises ControlError; the decoder is of no use after that."""
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            length, kind = HEADER.unpack_from(self._buffer, start)
            if kind[0] not in FROM_GUEST:
                raise ControlError(f"frame of unknown type {kind!r}")
            if length > PAYLOAD_LIMIT_BYTES:
                raise ControlError(f"frame of {length} bytes is over {PAYLOAD_LIMIT_BYTES}")
            end = start + HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(kind.decode("ascii"), bytes(self._buffer[start + HEADER.size : end])))
            start = end
        del self._buffer[:start]
        return frames
