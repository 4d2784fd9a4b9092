"""Set-up for real: the packages, the compiler, the file systems."""

import os
import signal
import subprocess
import sys

import pytest

from aether.images.setup import setup
from aether.images.store import BUILDING

COMMAND = [sys.executable, "-m", "aether.images"]


def environment(cache):
    return {**os.environ, "AETHER_CACHE_DIR": str(cache)}


def made(cache):
    return sorted(path.name for path in (cache / "images").iterdir() if not path.name.startswith("."))


def test_a_second_run_finds_everything_in_less_than_a_second(cache):
    told = []
    setup(cache, told.append)
    assert [(progress.step, progress.done) for progress in told] == [("images", True)]
    assert told[0].elapsed_s < 1


def test_a_second_run_needs_no_network(cache):
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    ran = subprocess.run(
        COMMAND, env=environment(cache) | nowhere, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "everything is there" in ran.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_set_up_survives_a_kill_and_its_rival(cache, tmp_path):
    """One is killed in the middle; the other, which waited for it, finishes with the same images."""
    empty = tmp_path / "cache"
    arguments = {"env": environment(empty), "text": True, "start_new_session": True}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, **arguments) as first:
        assert any(line.startswith("initrd: ") for line in first.stdout)
        with subprocess.Popen(
            COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **arguments
        ) as second:
            assert "waiting" in second.stdout.readline()
            os.kill(first.pid, signal.SIGKILL)
            said = second.stdout.read()
        assert second.returncode == 0, said
        os.killpg(first.pid, signal.SIGKILL)
    assert "kernel: downloading" not in said, "the kernel was whole, and is not made twice"
    current = {image.split("-")[0] for image in made(empty)}
    assert current == {"kernel", "initrd", "runtime"}
    assert set(made(empty)) <= set(made(cache)), "the same sources make the same images"
    assert not list(empty.glob(f"images/{BUILDING}*"))
    assert not (empty / "apt").exists()
