import contextlib
import os
import sys

import pytest

from aether.images.errors import SetupFailed
from aether.images.progress import Step


@pytest.fixture
def told():
    return []


@pytest.fixture
def step(told):
    return Step("test", told.append)


def python(code):
    return [sys.executable, "-c", code]


def test_a_commands_output_comes_back(step):
    assert (
        step.run(python("import sys; print('out', flush=True); print('err', file=sys.stderr)"))
        == "out\nerr\n"
    )


def test_a_failed_command_is_told_with_its_last_words_and_the_hint(step):
    code = "print('\\n'.join(f'line {n}' for n in range(100))); raise SystemExit(3)"
    with pytest.raises(SetupFailed, match="status 3") as caught:
        step.run(python(code), hint="do this")
    assert "line 99" in caught.value.message
    assert "line 1\n" not in caught.value.message
    assert caught.value.hint == "do this"


def test_a_program_that_is_not_there_is_named(step):
    with pytest.raises(SetupFailed, match="aether-no-such-program"):
        step.run(["aether-no-such-program"])


def test_what_takes_long_is_told_with_the_size_it_has(step, told, tmp_path, monkeypatch):
    monkeypatch.setattr("aether.images.progress.TICK_S", 0.01)
    growing = tmp_path / "growing"
    growing.mkdir()
    (growing / "part").write_bytes(bytes(3 * 2**20))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def report(progress):
        told.append(progress)
        with contextlib.suppress(OSError):  # nobody reads it yet: the next tick will find it
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    step.report = report
    step.run(python(f"open({str(pipe)!r}).read()"), growing=growing)  # ends only once it was told of
    assert told[0].detail == "3 MiB"


def test_an_interrupted_command_is_ended(step, monkeypatch, tmp_path):
    monkeypatch.setattr("aether.images.progress.TICK_S", 0.01)
    pid_file = tmp_path / "pid"

    def interrupt(_progress):
        if pid_file.exists() and pid_file.read_text():
            raise KeyboardInterrupt

    step.report = interrupt
    with pytest.raises(KeyboardInterrupt):
        step.run(
            python(f"import os, signal; open({str(pid_file)!r}, 'w').write(str(os.getpid())); signal.pause()")
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
