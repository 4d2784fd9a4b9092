"""The agent's parsers, compiled with sanitizers: against Python's own, by property, and fuzzed."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
GET, HEAD, PUT_TOKEN, OTHER, BAD, PARTIAL = 2, 3, 4, 5, 1, 0


class Parsers:
    def __init__(self, binary) -> None:
        self.process = subprocess.Popen(
            [str(binary), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __call__(self, which: str, data: bytes) -> str:
        process = self.process
        process.stdin.write(struct.pack("=I", len(data)) + which.encode() + data)
        process.stdin.flush()
        size = process.stdout.read(4)
        if len(size) < 4:
            pytest.fail(f"{which} {data!r}: " + process.stderr.read().decode())
        return process.stdout.read(struct.unpack("=I", size)[0]).decode("utf-8", "surrogateescape")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        complaints = self.process.stderr.read()
        self.process.stderr.close()
        assert self.process.wait(10) == 0, complaints


@pytest.fixture(scope="module")
def parse(parsers_binary):
    parsers = Parsers(parsers_binary)
    yield parsers
    parsers.close()


quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=10,
)


def walked(value) -> str:
    """What parsers.c makes of a value."""
    if isinstance(value, dict):
        return "{" + "".join(walked(k) + walked(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + "".join(map(walked, value)) + "]"
    if isinstance(value, str):
        return f"s{len(value.encode())}:{value}"
    return "v" + json.dumps(value)


@quick
@given(value=documents, ascii_only=st.booleans(), indent=st.none() | st.just(2))
def test_json_is_read_as_python_wrote_it(parse, value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert parse("j", text.encode()) == walked(value)


@quick
@given(text=st.text('{}[]",:0123456789.-+eE\\u truefalsn/\n', max_size=24))
def test_json_is_valid_exactly_where_python_finds_it_valid(parse, text):
    def refuse(constant):
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
        valid = not has_lone_surrogate(json.loads(text))
    except ValueError:
        valid = False
    assert (parse("j", text.encode()) != "invalid") == valid


def has_lone_surrogate(value) -> bool:
    if isinstance(value, dict):
        return any(has_lone_surrogate(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(has_lone_surrogate, value))
    return isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value)


@pytest.mark.parametrize("text", ["[" * 33 + "]" * 33, "[" * 10000, '{"a":' * 5000])
def test_json_nested_too_deep_is_refused(parse, text):
    assert parse("j", text.encode()) == "invalid"


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"01", b"-", b"1.", b".5", b"1e", b'"\x01"', b'"\\x"', b"nul", b"[1,]", b'{"a"}', b"1 2"],
)
def test_json_that_is_none_is_refused(parse, text):
    assert parse("j", text) == "invalid"


@quick
@given(data=st.binary(max_size=600))
def test_base64_is_read_as_python_wrote_it(parse, data):
    assert parse("b", base64.b64encode(data)) == f"{len(data)}:{data.hex()}"


@quick
@given(text=st.text("ABCab01+/=-_ \n", max_size=12))
def test_base64_is_refused_where_it_is_wrong(parse, text):
    got = parse("b", text.encode())
    if BASE64.fullmatch(text):
        expected = base64.b64decode(text)
        assert got == f"{len(expected)}:{expected.hex()}"
    else:
        assert got == "-1:"


@quick
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200))
def test_quoted_text_is_json(parse, text):
    assert isinstance(json.loads(parse("q", text.encode())), str)


@quick
@given(text=st.text(st.characters(min_codepoint=1, max_codepoint=0x7F), max_size=30))
def test_quoted_ascii_comes_back(parse, text):
    assert json.loads(parse("q", text.encode())) == text


@quick
@given(
    frames=st.lists(st.tuples(st.sampled_from("MITPWZ"), st.binary(max_size=40)), max_size=5),
    cut=st.integers(0, 9),
)
def test_frames_are_told_apart(parse, frames, cut):
    data = b"".join(struct.pack(">I", len(p)) + k.encode() + p for k, p in frames)
    expected = "".join(f"{'u' if k == 'Z' else 'w'}{k}{0 if k == 'Z' else len(p)}" for k, p in frames)
    if all(kind != "Z" for kind, _ in frames):
        assert parse("f", data) == expected
    assert parse("f", data[: max(0, len(data) - cut)]) is not None


def test_a_frame_over_the_limit_is_told(parse):
    assert parse("f", struct.pack(">I", (1 << 20) + 1) + b"M") == "l"
    assert parse("f", struct.pack(">I", 1 << 20) + b"M") == "p"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "token= ip=0.0.0.0/0 gw=0.0.0.0 rw=0"),
        (
            "quiet aether_token=tok aether.ip=169.254.0.2/16 aether.gw=169.254.0.1 aether.rw_mib=64\n",
            "token=tok ip=169.254.0.2/16 gw=169.254.0.1 rw=64",
        ),
        ("xaether_token=no aether.other=1 aether", "token= ip=0.0.0.0/0 gw=0.0.0.0 rw=0"),
        ("aether.ip=169.254.0.2", "refused: the kernel argument aether.ip can't be read"),
        ("aether.ip=1.2.3.4/33", "refused: the kernel argument aether.ip can't be read"),
        ("aether.rw_mib=0", "refused: the kernel argument aether.rw_mib can't be read"),
        ("aether.rw_mib=99999999999999", "refused: the kernel argument aether.rw_mib can't be read"),
        ("aether_token=", "refused: the kernel argument aether_token can't be read"),
        ("aether_token=" + "x" * 129, "refused: the kernel argument aether_token can't be read"),
    ],
)
def test_kernel_arguments(parse, line, expected):
    assert parse("c", line.encode()) == expected


@pytest.mark.parametrize(
    ("request_text", "verb"),
    [
        ("GET / HTTP/1.1\r\n\r\n", GET),
        ("HEAD /x?y HTTP/1.0\r\nA:\r\n\r\n", HEAD),
        ("PUT /latest/api/token HTTP/1.1\r\nContent-Length: 0\r\n\r\n", PUT_TOKEN),
        ("PUT / HTTP/1.1\r\n\r\n", OTHER),
        ("GET / HTTP/1.1\r\nA: b\r\n", PARTIAL),
        ("GET  / HTTP/1.1\r\n\r\n", BAD),
        ("GET x HTTP/1.1\r\n\r\n", BAD),
        ("GET / HTTP/1.1\n\n\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\n folded\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", BAD),
        ("G\0T / HTTP/1.1\r\n\r\n", BAD),
    ],
)
def test_http_requests(parse, request_text, verb):
    assert parse("h", request_text.encode()) == str(verb)


@quick
@given(head=st.text("GET / HTTP1.\r\n:aA \t", max_size=40))
def test_an_http_head_that_has_its_end_is_never_waited_for(parse, head):
    assert parse("h", (head + "\r\n\r\n").encode()) != str(PARTIAL)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("00000000:0BB8 00000000:0000 0A", 2),
        ("0200FEA9:0BB8 00000000:0000 0A", 2),
        ("0100007F:0BB8 00000000:0000 0A", 1),
        ("0300007F:0BB8 00000000:0000 0A", 1),
        ("FEA9FEA9:0BB8 00000000:0000 0A", 0),
        ("00000000:0BB8 00000000:0000 01", 0),
        ("00000000:0BB9 00000000:0000 0A", 0),
        (f"{'0' * 32}:0BB8 {'0' * 32}:0000 0A", 2),
        (f"{'0' * 24}01000000:0BB8 {'0' * 32}:0000 0A", 1),
        (f"0000000000000000FFFF00000100007F:0BB8 {'0' * 32}:0000 0A", 1),
        (f"0000000000000000FFFF00000200FEA9:0BB8 {'0' * 32}:0000 0A", 2),
        (f"000080FE000000000000000001000000:0BB8 {'0' * 32}:0000 0A", 0),
        ("0000:0BB8 00000000:0000 0A", 0),
        ("", 0),
    ],
)
def test_listeners(parse, row, expected):
    head = "  sl  local_address rem_address   st tx_queue\n"
    table = f"{head}   0: 0100007F:1F90 00000000:0000 0A\n   1: {row} 00000000:00000000 00:00000000\n"
    assert parse("l", (3000).to_bytes(2, "big") + table.encode()) == str(expected)


@pytest.mark.parametrize("seed", range(4))
def test_no_input_makes_a_parser_read_outside(parsers_binary, seed):
    command = [str(parsers_binary), "fuzz", str(seed), "150000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "150000 inputs\n"
