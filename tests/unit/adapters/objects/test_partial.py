"""Files that are whole or not there."""

import asyncio
import threading

import pytest

from aether.adapters.objects.partial import finish, in_thread, partial, place


async def test_cancelled_work_in_a_thread_is_waited_for():
    started, let_go, ended = threading.Event(), threading.Event(), threading.Event()

    def work():
        started.set()
        let_go.wait(30)
        ended.set()

    task = asyncio.ensure_future(in_thread(work))
    await asyncio.to_thread(started.wait)
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


def test_finished_file_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with partial(target) as unfinished:
        unfinished.write_bytes(b"new")
        assert target.read_bytes() == b"old"
        finish(unfinished, target)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_bytes() == b"new"


def test_broken_off_write_leaves_the_old_file_alone(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def write_half():
        with partial(target) as unfinished:
            unfinished.write_bytes(b"ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_bytes() == b"old"


def test_placing_a_file_where_it_already_is_leaves_one_name(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"code")
    place(source, target)
    place(source, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]
    assert target.samefile(source)
