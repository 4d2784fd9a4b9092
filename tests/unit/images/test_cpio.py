import io
import stat

from aether.images import cpio
from aether.images.initramfs import write_initramfs


def read_archive(data):
    """By the kernel's own description of the format: (name, mode, content, device) in order."""
    at, found = 0, []
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        _, mode, uid, gid, _, mtime, size, *_, major, minor, name_size, _ = fields
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        at += (110 + name_size + 3) // 4 * 4
        content = data[at : at + size]
        at += (size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        assert (uid, gid, mtime) == (0, 0, 0)
        found.append((name, mode, content, (major, minor)))


def test_entries_of_any_length_come_out_as_they_went_in():
    entries = [cpio.folder("d")]
    entries += [cpio.regular(f"d/{'n' * i}", b"x" * i, 0o640) for i in range(1, 9)]
    entries.append(cpio.character_device("d/tty", 5, 1))
    out = io.BytesIO()
    cpio.write_archive(out, entries)
    found = read_archive(out.getvalue())
    assert found == [(e.name, e.mode, e.content, e.device) for e in entries]


def test_initramfs_has_the_agent_its_modules_in_order_and_places_to_mount(tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "b.ko").write_bytes(b"module b")
    (modules / "a.ko").write_bytes(b"module a")
    (modules / "modules.list").write_text("b.ko\na.ko\n")
    (tmp_path / "agent").write_bytes(b"agent")
    write_initramfs(tmp_path / "initrd", tmp_path / "agent", modules)
    found = {
        name: (mode, content) for name, mode, content, _ in read_archive((tmp_path / "initrd").read_bytes())
    }
    assert found["init"] == (stat.S_IFREG | 0o755, b"agent")
    assert found["modules.list"][1] == b"/lib/modules/b.ko\n/lib/modules/a.ko\n"
    assert found["lib/modules/a.ko"][1] == b"module a"
    for name in ("proc", "sys", "dev", "lower", "rw", "newroot"):
        assert stat.S_ISDIR(found[name][0])


def test_initramfs_for_a_foreign_kernel_brings_no_modules(tmp_path):
    (tmp_path / "agent").write_bytes(b"agent")
    write_initramfs(tmp_path / "initrd", tmp_path / "agent", None)
    found = {name: content for name, _, content, _ in read_archive((tmp_path / "initrd").read_bytes())}
    assert found["modules.list"] == b""
    assert not any(name.endswith(".ko") for name in found)
