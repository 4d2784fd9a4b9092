import os
import re
import subprocess

import pytest

from aether.images.errors import SetupFailed
from aether.images.ext4 import make_image
from aether.images.host import tool
from aether.images.progress import Step


@pytest.fixture
def step():
    return Step("test", lambda _progress: None)


def lay(tree):
    tree.mkdir()
    (tree / "bin").mkdir(mode=0o755)
    (tree / "bin" / "run").write_bytes(os.urandom(300_000))
    (tree / "bin" / "run").chmod(0o755)
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)
    (tree / "link").symlink_to("bin/run")
    (tree / "long link").symlink_to("/" + "long/" * 30)
    for number in range(200):
        (tree / "bin" / f"file {number}").write_text(str(number))
    return tree


def inspect(image, command):
    ran = subprocess.run([tool("debugfs"), "-R", command, image], capture_output=True, text=True, check=True)
    return ran.stdout


def listing(image, folder):
    """name -> (mode, uid, gid)"""
    found = {}
    for line in inspect(image, f"ls -p {folder}").splitlines():
        if line.startswith("/"):
            _, _, mode, uid, gid, name, *_ = line.split("/")
            found[name] = (mode, uid, gid)
    return found


def test_everything_belongs_to_root_and_keeps_its_mode(tmp_path, step):
    tree = lay(tmp_path / "tree")
    if os.geteuid() == 0:  # an ordinary user's files, as set-up mostly finds them
        for path in [tree, *tree.rglob("*")]:
            os.chown(path, 1234, 1234, follow_symlinks=False)
    make_image(tree, tmp_path / "image", "test", step)
    root = listing(tmp_path / "image", "/")
    assert root["."] == ("040755", "0", "0")
    assert root["tmp"] == ("041777", "0", "0")
    assert root["link"] == ("120777", "0", "0")
    assert "lost+found" not in root
    inside = listing(tmp_path / "image", "/bin")
    assert len(inside) == 203
    assert inside["run"] == ("100755", "0", "0")
    assert {entry[1:] for entry in inside.values()} == {("0", "0")}


def test_the_file_system_is_sound_and_small(tmp_path, step):
    make_image(lay(tmp_path / "tree"), tmp_path / "image", "test", step)
    subprocess.run([tool("e2fsck"), "-fn", tmp_path / "image"], capture_output=True, check=True)
    content = 75 + 200 + 4  # blocks of 4 KiB: the large file, the small ones, folders and a link
    assert (tmp_path / "image").stat().st_size < (content + 80) * 4096
    out = tmp_path / "out"
    inspect(tmp_path / "image", f"dump /bin/run {out}")
    assert out.read_bytes() == (tmp_path / "tree/bin/run").read_bytes()


def test_the_same_files_make_the_same_image(tmp_path, step):
    tree = lay(tmp_path / "tree")
    make_image(tree, tmp_path / "one", "test", step)
    (tree / "bin" / "run").touch()
    make_image(tree, tmp_path / "two", "test", step)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_estimate_that_falls_short_is_made_good(tmp_path, step, monkeypatch):
    monkeypatch.setattr("aether.images.ext4.SLACK_BLOCKS", -20)
    make_image(lay(tmp_path / "tree"), tmp_path / "image", "test", step)
    subprocess.run([tool("e2fsck"), "-fn", tmp_path / "image"], capture_output=True, check=True)


def test_a_large_tree_fits(tmp_path, step):
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(2):
        with (tree / f"large{number}").open("wb") as file:
            for _ in range(160):
                file.write(b"\1" * 2**20)
    make_image(tree, tmp_path / "image", "test", step)
    described = subprocess.run(
        [tool("dumpe2fs"), "-h", tmp_path / "image"], capture_output=True, text=True, check=True
    ).stdout
    free = re.search(r"Free blocks:\s+(\d+)", described)
    assert free
    assert int(free[1]) < 1000


def test_a_name_that_would_end_a_command_is_refused(tmp_path, step):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / 'a" uid 5').write_text("")
    with pytest.raises(SetupFailed, match="name"):
        make_image(tmp_path / "tree", tmp_path / "image", "test", step)
