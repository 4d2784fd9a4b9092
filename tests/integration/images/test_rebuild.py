"""Everything made again from what was downloaded."""

import pytest

from aether.images.catalog import ImageSettings
from aether.images.errors import SetupFailed
from aether.images.setup import setup


def test_the_same_sources_make_the_same_bytes_without_a_network(cache, images, tmp_path, monkeypatch):
    again = tmp_path / "cache"
    again.mkdir()
    for kept in ("downloads", "tools"):
        (again / kept).symlink_to(cache / kept)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # whoever tries the network is refused
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    told = []
    made = setup(again, told.append)
    assert made.kernel.digest == images.kernel.digest
    assert made.runtimes["node"].digest == images.runtimes["node"].digest
    assert [progress.step for progress in told if progress.done] == [
        "host",
        "kernel",
        "initrd",
        "runtime-node",
    ]
    assert made.runtimes["node"].root.read_bytes() == images.runtimes["node"].root.read_bytes()


def test_the_users_kernel_gets_an_initramfs_and_no_other_kernel(cache, tmp_path):
    own = tmp_path / "vmlinux"
    own.write_bytes(b"\x7fELF\x02\x01 with everything built in")
    root = tmp_path / "root.ext4"
    root.write_bytes(b"made to the seed's recipe")
    again = tmp_path / "cache"
    again.mkdir()
    (again / "tools").symlink_to(cache / "tools")
    settings = ImageSettings(kernel_path=own, runtime_path=root)
    made = setup(again, lambda _progress: None, settings)
    assert made.kernel.kernel == own
    assert b".ko" not in made.kernel.initrd.read_bytes()
    assert [path.name.rsplit("-", 2)[0] for path in (again / "images").iterdir() if path.is_dir()] == [
        "initrd-bare"
    ]


def test_a_cache_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupFailed, match="Not a directory"):
        setup(tmp_path / "file" / "cache", lambda _progress: None)
