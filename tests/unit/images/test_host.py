import os

import pytest

from aether.images.arch import ARCHITECTURES, host_architecture
from aether.images.errors import SetupFailed
from aether.images.host import HostTool, find_tool, host_tools, install_missing, missing_tools
from aether.images.progress import Step

ABSENT = HostTool("aether-no-such-program", "no-such-package", "is for a test")


def test_administrators_programs_are_found_with_an_ordinary_path(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert find_tool("mkfs.ext4")


def test_an_ordinary_user_is_told_the_command_for_an_administrator(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupFailed, match="is for a test") as caught:
        install_missing((ABSENT,), Step("test", lambda _progress: None))
    assert "sudo apt-get install -y --no-install-recommends no-such-package" in caught.value.hint


def test_nothing_is_installed_when_nothing_is_missing(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = []
    install_missing((HostTool("sh", "dash", "is everywhere"),), Step("test", told.append))
    assert told == []


def test_missing_tools_are_those_that_are_not_there():
    assert missing_tools((HostTool("sh", "dash", ""), ABSENT)) == (ABSENT,)


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda a: a.machine)
def test_every_architecture_names_its_machine_emulator(architecture):
    assert architecture.qemu_binary in {tool.program for tool in host_tools(architecture)}


def test_an_unknown_architecture_is_told(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(SetupFailed, match="vax"):
        host_architecture()
