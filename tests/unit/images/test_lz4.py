import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.images import lz4


def length_bytes(length):
    """What follows a token whose nibble is 15."""
    return bytes([255] * ((length - 15) // 255) + [(length - 15) % 255]) if length >= 15 else b""


def sequence(literals, offset=None, match=4):
    """One sequence of the block format, as its description has it."""
    nibble = min(match - 4, 15) if offset else 0
    token = bytes([min(len(literals), 15) << 4 | nibble])
    head = token + length_bytes(len(literals)) + literals
    return head + struct.pack("<H", offset) + length_bytes(match - 4) if offset else head


@st.composite
def blocks(draw):
    """A block of random sequences, and what it means."""
    plain, packed = bytearray(), b""
    for _ in range(draw(st.integers(0, 8))):
        literals = draw(st.binary(min_size=0 if plain else 1, max_size=400))
        plain += literals
        offset = draw(st.integers(1, len(plain)))
        match = draw(st.integers(4, 700))
        packed += sequence(literals, offset, match)
        for _ in range(match):  # byte by byte is the definition, overlaps included
            plain.append(plain[-offset])
    last = draw(st.binary(max_size=300))
    return packed + sequence(last), bytes(plain) + last


@given(blocks())
def test_blocks_mean_what_the_format_says(pair):
    packed, plain = pair
    assert lz4.decompress_block(packed) == plain


@given(st.lists(blocks(), max_size=3))
def test_a_frame_is_its_blocks_one_after_the_other(pairs):
    frame = lz4.MAGIC + b"".join(struct.pack("<I", len(packed)) + packed for packed, _ in pairs)
    assert lz4.decompress_legacy(frame) == b"".join(plain for _, plain in pairs)


@given(st.binary(max_size=200))
def test_damage_is_a_value_error(data):
    with contextlib.suppress(ValueError):
        lz4.decompress_block(data)


@pytest.mark.parametrize(
    "block",
    [
        sequence(b"abc", offset=4),
        sequence(b"abc", offset=3)[:-1],
        sequence(b"a" * 20)[:-1],
        b"\xf0\xff",
    ],
)
def test_cut_blocks_and_matches_from_nowhere_are_refused(block):
    with pytest.raises(ValueError):
        lz4.decompress_block(block)


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="legacy"):
        lz4.decompress_legacy(b"\x04\x22\x4d\x18rest")
