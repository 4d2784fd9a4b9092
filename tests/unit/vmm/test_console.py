"""Console output stays bounded, and the newest is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aether.vmm.console import Console, Consoles


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_the_newest_bytes_are_kept_whatever_the_pieces(pieces: list[bytes], limit: int) -> None:
    console = Console(limit)
    for piece in pieces:
        console.write(piece)
    whole = b"".join(pieces)
    assert console.text() == whole[-limit:].decode(errors="replace")
    assert console.dropped_bytes == max(0, len(whole) - limit)


def test_tail_gives_whole_lines_without_empty_ones() -> None:
    console = Console()
    console.write(b"one\r\n\r\ntwo\r\n")
    console.write_line("stderr", "three")
    assert console.tail(2) == "two\n[stderr] three"


def test_consoles_of_ended_machines_stay_for_a_while() -> None:
    consoles = Consoles(retired_limit=2)
    for name in "abc":
        consoles.open(name).write(name.encode())
        consoles.retire(name)
        consoles.retire(name)
    assert [consoles.text(name) for name in "abcd"] == ["", "b", "c", ""]
