import lzma

import pytest

from aether.images import modules


def module(depends):
    return b"\x7fELF...\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"


@pytest.fixture
def release(tmp_path):
    """A kernel's module tree in which every wanted module is a file, and one is compressed."""
    folder = tmp_path / "6.1.0"
    needs = dict.fromkeys(modules.WANTED, "") | {
        "virtio_mmio": "virtio,virtio_ring", "virtio_net": "virtio_ring,net-failover,crc32",
        "net-failover": "failover", "failover": "", "virtio": "virtio_ring", "virtio_ring": "",
    }  # fmt: skip
    (folder / "kernel").mkdir(parents=True)
    for name, depends in needs.items():
        (folder / "kernel" / f"{name}.ko").write_bytes(module(depends))
    plain = folder / "kernel" / "overlay.ko"
    plain.with_suffix(".ko.xz").write_bytes(lzma.compress(plain.read_bytes()))
    plain.unlink()
    (folder / "modules.builtin").write_text("kernel/lib/crc32.ko\nkernel/fs/ext4/ext4.ko\n")
    return folder


def listed(folder):
    return (folder / "modules.list").read_text().split()


def test_what_a_module_requires_is_loaded_before_it(release, tmp_path):
    modules.copy_modules(release, tmp_path / "out")
    order = listed(tmp_path / "out")
    for name in order:
        for need in modules.dependencies((tmp_path / "out" / name).read_bytes()):
            if need != "crc32":
                assert order.index(f"{need}.ko") < order.index(name)
    assert {f"{name}.ko" for name in modules.WANTED} <= set(order)
    assert len(order) == len(set(order))


def test_compressed_modules_come_out_plain(release, tmp_path):
    modules.copy_modules(release, tmp_path / "out")
    assert (tmp_path / "out" / "overlay.ko").read_bytes() == module("")


def test_what_the_kernel_has_built_in_is_not_looked_for(release, tmp_path):
    (release / "kernel" / "virtio_blk.ko").unlink()
    with (release / "modules.builtin").open("a") as file:
        file.write("kernel/drivers/block/virtio_blk.ko\n")
    modules.copy_modules(release, tmp_path / "out")
    assert "virtio_blk.ko" not in listed(tmp_path / "out")


def test_a_module_that_is_nowhere_is_named(release, tmp_path):
    (release / "kernel" / "virtio_console.ko").unlink()
    with pytest.raises(ValueError, match="virtio_console"):
        modules.copy_modules(release, tmp_path / "out")


def test_modules_that_require_each_other_are_refused():
    with pytest.raises(ValueError, match="each other"):
        modules.load_order(["a"], {"a": ["b"], "b": ["a"]})
