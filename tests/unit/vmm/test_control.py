"""The worker's end of the control channel, against whatever a guest may send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.ports.vmm import EndReason, LogLine
from aether.vmm import messages
from aether.vmm.control import ControlChannel
from aether.vmm.frames import HEADER, PAYLOAD_LIMIT_BYTES, ControlError, Frame, FrameDecoder, encode
from aether.vmm.messages import Ended, Hello, Ready, Status, read_message

guest_frames = st.builds(Frame, st.sampled_from("HRLEKQS"), st.binary(max_size=300))


def wire(frame: Frame) -> bytes:
    return HEADER.pack(len(frame.payload), frame.kind.encode()) + frame.payload


def guest_json(kind: str, **document: object) -> Frame:
    return Frame(kind, json.dumps(document).encode())


@given(st.lists(guest_frames, max_size=6), st.data())
def test_frames_survive_any_cutting(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(wire(frame) for frame in frames)
    decoder = FrameDecoder()
    seen: list[Frame] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        seen += decoder.feed(stream[:size])
        stream = stream[size:]
    assert seen == frames


@given(st.binary(max_size=2000))
def test_noise_gives_frames_or_a_control_error_and_nothing_else(noise: bytes) -> None:
    try:
        for frame in FrameDecoder().feed(noise):
            read_message(frame)
    except ControlError:
        pass


@given(st.sampled_from("HRES"), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_of_a_wrong_shape_is_a_control_error(kind: str, document: object) -> None:
    with pytest.raises(ControlError):
        read_message(Frame(kind, json.dumps(document).encode()))


@given(
    st.sampled_from("HRES"),
    st.dictionaries(
        st.sampled_from(["protocol", "agent", "uptime_ms", "reason", "code", "signal", "detail", "state"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    ),
)
def test_json_fields_of_any_type_are_read_or_refused(kind: str, document: dict[str, object]) -> None:
    with contextlib.suppress(ControlError):
        read_message(Frame(kind, json.dumps(document).encode()))


def test_a_frame_over_the_limit_is_refused_by_its_header() -> None:
    assert FrameDecoder().feed(HEADER.pack(PAYLOAD_LIMIT_BYTES, b"Q")) == []
    with pytest.raises(ControlError, match="over"):
        FrameDecoder().feed(HEADER.pack(PAYLOAD_LIMIT_BYTES + 1, b"Q"))


@pytest.mark.parametrize("kind", [b"M", b"x", b"\x00"])
def test_a_frame_of_unknown_type_is_refused(kind: bytes) -> None:
    with pytest.raises(ControlError, match="unknown type"):
        FrameDecoder().feed(HEADER.pack(0, kind))


def test_a_host_cannot_send_what_the_protocol_does_not_know() -> None:
    with pytest.raises(ValueError, match="kind"):
        encode(Frame("R"))
    with pytest.raises(ValueError, match="over"):
        encode(Frame("P", bytes(PAYLOAD_LIMIT_BYTES + 1)))


def test_messages_of_the_guest_are_read() -> None:
    assert read_message(guest_json("H", protocol=1, agent="1.2", uptime_ms=7, new="field")) == Hello("1.2", 7)
    assert read_message(guest_json("R", uptime_ms=9)) == Ready(9)
    assert read_message(guest_json("S", protocol=1, state="ready", instance_id="inst-1")) == Status(
        "ready", "inst-1"
    )
    with pytest.raises(ControlError, match="protocol"):
        read_message(guest_json("H", protocol=2, agent="", uptime_ms=1))


@pytest.mark.parametrize(
    ("document", "reason", "detail"),
    [
        ({"reason": "exited", "code": 3, "signal": None, "detail": ""}, EndReason.EXITED, "exit code 3"),
        ({"reason": "exited", "code": None, "signal": 11}, EndReason.EXITED, "signal SIGSEGV"),
        ({"reason": "exited", "signal": 200, "detail": "d"}, EndReason.EXITED, "signal 200: d"),
        ({"reason": "out_of_memory", "signal": 9}, EndReason.OUT_OF_MEMORY, "signal SIGKILL"),
        ({"reason": "token_mismatch"}, EndReason.EXITED, "token_mismatch"),
        ({"reason": "boot_failed", "detail": "no /dev/vda"}, EndReason.EXITED, "no /dev/vda"),
    ],
)
def test_an_end_tells_its_reason(document: dict[str, object], reason: EndReason, detail: str) -> None:
    message = read_message(guest_json("E", **document))
    assert isinstance(message, Ended)
    assert (message.end.reason, message.end.detail) == (reason, detail)


@pytest.mark.parametrize(
    ("payload", "stream", "text", "call_id"),
    [
        (b"1hello", "stdout", "hello", None),
        (b"2\x1ecall-1\x1foops", "stderr", "oops", "call-1"),
        (b"a\x1eno end", "agent", "\x1eno end", None),
        (b"1\xff\xfe", "stdout", "\ufffd\ufffd", None),
        (b"1", "stdout", "", None),
    ],
)
def test_a_log_line_tells_its_call(payload: bytes, stream: str, text: str, call_id: str | None) -> None:
    line = read_message(Frame("L", payload))
    assert isinstance(line, LogLine)
    assert (line.stream, line.text, line.call_id) == (stream, text, call_id)


@pytest.mark.parametrize("payload", [b"", b"3x"])
def test_a_log_line_of_no_stream_is_refused(payload: bytes) -> None:
    with pytest.raises(ControlError, match="stream"):
        read_message(Frame("L", payload))


async def test_channel_passes_messages_on_and_frames_out() -> None:
    ours, guest = socket.socketpair()
    guest.setblocking(False)
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[object] = asyncio.Queue()
    channel = await ControlChannel.over(ours, received.put_nowait, received.put_nowait, lambda: None)
    channel.send(messages.ping(b"x"))
    assert await loop.sock_recv(guest, 100) == wire(Frame("P", b"x"))
    await loop.sock_sendall(guest, wire(Frame("Q", b"x")) + wire(Frame("K")))
    assert await received.get() == messages.Pong(b"x")
    assert await received.get() == messages.IdentityTaken()
    await channel.close()
    guest.close()


async def test_a_guest_that_breaks_the_protocol_is_reported_once_and_cut_off() -> None:
    ours, guest = socket.socketpair()
    guest.setblocking(False)
    loop = asyncio.get_running_loop()
    failures: asyncio.Queue[ControlError] = asyncio.Queue()
    channel = await ControlChannel.over(ours, lambda _message: None, failures.put_nowait, lambda: None)
    await loop.sock_sendall(guest, b"GET / HTTP/1.1\r\n\r\n" * 10)
    assert "unknown type" in str(await failures.get())
    # A connection that is dropped with unread bytes ends by a reset or by an end of file.
    with contextlib.suppress(ConnectionResetError):
        assert await loop.sock_recv(guest, 100) == b""
    channel.send(messages.who())
    await channel.close()
    assert failures.empty()
    guest.close()
