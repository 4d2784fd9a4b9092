import json

import pytest

from aether.images import kvm
from aether.images.catalog import OURS
from aether.images.probe import Level, check_disk, check_images, check_tool, probe
from aether.ports.vmm import GuestKernel


def test_whatever_is_wrong_comes_with_what_to_do(tmp_path):
    checks = probe(tmp_path / "not yet")
    assert [check.name for check in checks if check.level is not Level.OK and not check.fix] == []
    assert len({check.name for check in checks}) == len(checks)


def test_missing_images_fail_and_name_the_command(tmp_path):
    check = check_images(tmp_path, OURS)
    assert (check.level, check.fix) == (Level.FAIL, "run: aether setup")


def test_a_missing_program_names_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("aether.images.host.ADMIN_FOLDERS", "/nowhere")
    check = check_tool("mkfs.ext4", "mkfs.ext4", str)
    assert check.level is Level.FAIL
    assert check.fix.endswith("e2fsprogs")


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("aether.images.probe.DISK_WANTED_MIB", 10**9)
    assert check_disk(tmp_path / "deep" / "er").level is Level.WARN


@pytest.fixture
def kernel(tmp_path):
    return GuestKernel(tmp_path / "vmlinux", tmp_path / "initrd", "digest")


def test_no_device_is_no_kvm_and_needs_no_probe(tmp_path, kernel, monkeypatch):
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "absent")
    assert kvm.kvm_works(tmp_path, kernel) is False
    assert not (tmp_path / "probe.json").exists()


@pytest.fixture
def device(tmp_path, monkeypatch):
    path = tmp_path / "kvm"
    path.write_text("")
    monkeypatch.setattr(kvm, "DEVICE", path)
    return path


def test_a_machine_that_cannot_boot_is_no_kvm_and_that_is_remembered(tmp_path, kernel, device):
    assert kvm.kvm_works(tmp_path, kernel) is False  # the kernel isn't even a file
    answers = json.loads((tmp_path / "probe.json").read_text())
    assert list(answers.values()) == [False]
    (tmp_path / "probe.json").write_text(json.dumps(dict.fromkeys(answers, True)))
    assert kvm.kvm_works(tmp_path, kernel) is True


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"another host": true}'])
def test_a_damaged_memory_is_asked_anew(tmp_path, kernel, device, content):
    (tmp_path / "probe.json").write_text(content)
    assert kvm.kvm_works(tmp_path, kernel) is False


@pytest.mark.parametrize(
    ("said", "hello"),
    [(b"", False), (b"\0\0\0\x10", False), (b"\0\0\0\x10H{", True), (b"\0\0\0\x10L1", False)],
)
def test_only_the_agents_hello_counts(tmp_path, said, hello):
    (tmp_path / "said").write_bytes(said)
    assert kvm.hello_in(tmp_path / "said") is hello
    assert kvm.hello_in(tmp_path / "absent") is False
