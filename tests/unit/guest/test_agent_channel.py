"""The control channel when the host misbehaves, goes away, or comes again."""

from __future__ import annotations

import struct
import time


def header(kind: str, length: int) -> bytes:
    return struct.pack(">I", length) + kind.encode()


def test_ping_is_answered_with_its_payload(guest):
    guest.connect()
    guest.expect("H")
    guest.send("P", b"\x00\x01abc")
    assert guest.receive() == ("Q", b"\x00\x01abc")


def test_status_before_anything_is_known(guest):
    guest.connect()
    guest.expect("H")
    guest.send("W")
    assert guest.expect("S") == {
        "protocol": 1,
        "state": "waiting",
        "instance_id": None,
        "function_id": None,
        "port": 0,
    }


def test_frames_may_come_in_any_pieces(guest):
    guest.connect()
    guest.expect("H")
    for byte in header("P", 3) + b"abc" + header("P", 1) + b"d":
        guest.send_bytes(bytes([byte]))
    assert [guest.receive(), guest.receive()] == [("Q", b"abc"), ("Q", b"d")]


def test_an_unknown_frame_is_skipped_and_said(guest):
    guest.connect()
    guest.expect("H")
    guest.send_bytes(header("Z", 4) + b"PPPP" + header("P", 1) + b"1")
    assert guest.line("unknown type 0x5a")[0] == "a"
    assert guest.receive() == ("Q", b"1")


def test_a_frame_over_the_limit_makes_the_agent_deaf_until_the_next_host(guest):
    guest.connect()
    guest.expect("H")
    guest.send_bytes(header("M", (1 << 20) + 1) + header("P", 1) + b"1")
    assert guest.line("over the limit")[0] == "a"
    guest.connect()
    guest.expect("H")
    guest.send("P", b"2")
    assert guest.receive() == ("Q", b"2")


def test_half_a_frame_dies_with_its_host(guest):
    guest.connect()
    guest.expect("H")
    guest.send_bytes(header("M", 100) + b"half")
    guest.connect()
    guest.expect("H")
    guest.send("P", b"whole")
    assert guest.receive() == ("Q", b"whole")


def test_half_a_frame_is_given_up_when_the_rest_never_comes(guest):
    guest.connect()
    guest.expect("H")
    guest.send_bytes(header("M", 100) + b"half")
    assert guest.line("half a control frame")[0] == "a"
    guest.send("P", b"whole")
    assert guest.receive() == ("Q", b"whole")


def test_a_frame_as_large_as_allowed_is_taken(guest):
    large = {f"NAME_{i}": "x" * 1000 for i in range(1000)}
    guest.start("/bin/sh", "-c", "echo ${#NAME_999}", env=large)
    _, lines = guest.until("E")
    assert lines == [("1", "1000")]


def test_a_second_metadata_frame_changes_nothing(guest):
    guest.shell("read never; sleep 1000")
    guest.send("M", guest.metadata("/bin/true"))
    assert "second metadata" in guest.line("ignored")[1]


def test_lines_wait_for_a_host_that_was_away(guest):
    flag = guest.code / "go"
    guest.shell(
        "while [ ! -e /code/go ]; do sleep 0.01; done; echo one; echo two; touch /code/done; sleep 1000"
    )
    guest.disconnect()
    flag.touch()
    wait_for(guest.code / "done")
    guest.connect()
    assert guest.receive() == ("L", b"1one")
    assert guest.receive() == ("L", b"1two")


def test_of_too_many_lines_the_newest_are_kept_and_the_loss_is_told(guest):
    script = """
import os, time
while not os.path.exists("/code/go"): time.sleep(0.01)
for i in range(20000): print(f"line {i:07}", flush=True)
open("/code/done", "w").close()
time.sleep(1000)
"""
    guest.start("/usr/bin/python3", "-c", script)
    guest.disconnect()
    (guest.code / "go").touch()
    wait_for(guest.code / "done")
    guest.connect()
    lines = []
    while not lines or lines[-1] != "line 0019999":
        kind, payload = guest.receive()
        assert kind == "L"
        lines.append(payload[1:].decode())
    said = [line for line in lines if "were dropped" in line]
    kept = [line for line in lines if line.startswith("line")]
    assert len(said) == 1
    assert int(said[0].split()[0]) == 20000 - len(kept)
    assert kept == [f"line {i:07}" for i in range(20000 - len(kept), 20000)]
    assert 65536 * 0.9 < len(kept) * (5 + 1 + 12) <= 65536


def test_a_ready_function_is_found_by_the_next_host(guest):
    script = "import socket, time; s = socket.socket(); s.bind(('', 3000)); s.listen(); time.sleep(1000)"
    guest.start("/usr/bin/python3", "-c", script)
    guest.until("R")
    guest.connect()
    guest.send("W")
    assert guest.expect("S")["state"] == "ready"


def wait_for(path):
    """The function runs in other namespaces, and can tell us by a file alone."""
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"no {path.name}"
        time.sleep(0.005)
