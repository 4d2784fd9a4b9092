import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.images import elf

PYTHON = Path(sys.executable).resolve()


def test_a_stripped_program_still_runs_and_is_smaller(tmp_path):
    program = tmp_path / "python"
    before = PYTHON.read_bytes()
    after = elf.stripped(before)
    program.write_bytes(after)
    program.chmod(0o755)
    ran = subprocess.run([program, "-S", "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
    assert ran.stdout == "42\n"
    assert len(after) < len(before)
    assert elf.needed(after) == elf.needed(before)


def test_libraries_are_those_the_loader_looks_for():
    assert "libc.so.6" in elf.needed(PYTHON.read_bytes())


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", elf.MAGIC, elf.MAGIC + bytes(40)])
def test_what_is_not_a_program_is_refused(data):
    with pytest.raises(ValueError):
        elf.stripped(data)


def test_a_program_that_was_cut_is_refused():
    with pytest.raises(ValueError):
        elf.stripped(PYTHON.read_bytes()[: -(len(PYTHON.read_bytes()) // 2)])


@given(st.data())
def test_damaged_headers_raise_nothing_but_value_error(data):
    content = bytearray(PYTHON.read_bytes()[:4096])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(6, 1000))] = data.draw(st.integers(0, 255))
    for look in (elf.needed, elf.stripped):
        with contextlib.suppress(ValueError):
            look(bytes(content))
