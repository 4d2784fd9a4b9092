import os
import subprocess
import sys

import pytest

from aether.images.store import (
    GENERATIONS_KEPT,
    ImageStore,
    default_cache_dir,
    digest_recorded,
    recipe_of,
)


@pytest.fixture
def store(tmp_path):
    return ImageStore(tmp_path / "cache")


def writer(text):
    def build(into):
        (into / "image").write_text(text)

    return build


def test_an_image_is_found_by_its_recipe_only(store):
    made = store.build("kernel", "aaa", writer("one"))
    assert store.find("kernel", "aaa") == made
    assert store.find("kernel", "bbb") is None
    assert store.find("initrd", "aaa") is None
    assert (made / "image").read_text() == "one"


def test_an_image_whose_build_failed_is_not_found(store):
    def build(into):
        (into / "image").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.build("kernel", "aaa", build)
    assert store.find("kernel", "aaa") is None


def test_the_newest_content_of_a_recipe_is_used(store):
    store.build("kernel", "aaa", writer("one"))
    second = store.build("kernel", "aaa", writer("two"))
    assert store.find("kernel", "aaa") == second
    again = store.build("kernel", "aaa", writer("one"))
    assert again != second
    assert store.find("kernel", "aaa") == again


def test_old_generations_are_removed_and_recent_ones_stay_for_who_runs_them(store):
    made = [store.build("initrd", f"{n:03}", writer(str(n))) for n in range(GENERATIONS_KEPT + 2)]
    for age, path in enumerate(reversed(made)):
        os.utime(path, (1000 - age, 1000 - age))
    other = store.build("initrd-bare", "aaa", writer("other"))
    store.remove_old(["initrd", "initrd-bare"])
    assert [path for path in made if path.exists()] == made[-GENERATIONS_KEPT:]
    assert other.exists()


def test_images_are_readable_by_everybody_whatever_the_umask(store):
    before = os.umask(0o077)
    try:
        with store.lock(lambda: None):
            made = store.build("kernel", "aaa", writer("one"))
    finally:
        os.umask(before)
    for path in (made, store.root, store.root.parent):
        assert path.stat().st_mode & 0o777 == 0o755
    assert (made / "image").stat().st_mode & 0o777 == 0o644


def test_the_digest_is_the_contents(store):
    one = store.build("kernel", "aaa", writer("one"))
    same = store.build("kernel", "bbb", writer("one"))
    other = store.build("kernel", "aaa", writer("two"))
    assert digest_recorded(one) == digest_recorded(same) != digest_recorded(other)


def test_a_second_set_up_waits_for_the_first(store):
    script = (
        "import sys; from pathlib import Path; from aether.images.store import ImageStore\n"
        "with ImageStore(Path(sys.argv[1])).lock(lambda: None):\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, store.root.parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout.readline() == b"locked\n"
        told = []

        def let_go():
            told.append(True)
            other.stdin.close()

        with store.lock(let_go):
            assert told
            assert other.wait(10) == 0


def test_a_set_up_that_was_killed_blocks_nobody(store):
    script = (
        "import os, sys; from pathlib import Path; from aether.images.store import ImageStore\n"
        "with ImageStore(Path(sys.argv[1])).lock(lambda: None):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, store.root.parent], check=False)
    with store.lock(lambda: pytest.fail("nobody holds the lock")):
        pass


def test_a_recipe_changes_with_content_names_and_order(tmp_path):
    (tmp_path / "f").write_text("a")
    one = recipe_of("x", tmp_path)
    (tmp_path / "f").rename(tmp_path / "g")
    two = recipe_of("x", tmp_path)
    (tmp_path / "g").write_text("b")
    assert len({one, two, recipe_of("x", tmp_path), recipe_of(tmp_path, "x")}) == 4
    assert recipe_of("ab", "c") != recipe_of("a", "bc")


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "aether"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "aether"
