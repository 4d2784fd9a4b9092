"""QEMU's command line: what the hardening rests on, and what each kind of start adds."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from aether.ports.vmm import GuestKernel, MachineSpec, Runtime
from aether.vmm.qemu import QemuConfig
from aether.vmm.qemu.command import Descriptors, Launch, command_line, kernel_arguments
from aether.vmm.qemu.process import privilege_prefix

CONFIG = QemuConfig(GuestKernel(Path("/k"), Path("/i"), "d"), Path("/run"), tsc_khz=2_500_000)
RUNTIME = Runtime("node", Path("/root.ext4"), ("/usr/bin/node",), "handler.js")
SPEC = MachineSpec("inst-1", "fn-1", RUNTIME, Path("/code"), "handler.js", 3456, 2, 192, {"KEY": "secret"})
LAUNCH = Launch(SPEC, "token-1")
DESCRIPTORS = Descriptors(kernel=10, initrd=11, root=12, code=13, monitor=14, control=15, console=16)


def option(arguments: list[str], name: str) -> list[str]:
    return [value for flag, value in pairwise(arguments) if flag == name]


def test_a_boot_is_confined_and_gets_files_by_descriptor_only() -> None:
    arguments = command_line(CONFIG, LAUNCH, DESCRIPTORS, port=20001)
    assert option(arguments, "-sandbox") == [
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    ]
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(arguments)
    [network] = option(arguments, "-netdev")
    assert "restrict=on" in network.split(",")
    assert "hostfwd=tcp:127.0.0.1:20001-169.254.0.2:3456" in network.split(",")
    assert option(arguments, "-kernel") == ["/proc/self/fd/10"]
    assert option(arguments, "-add-fd") == ["fd=12,set=1", "fd=13,set=2"]
    assert all("read-only=on" in disk for disk in option(arguments, "-blockdev"))
    assert option(arguments, "-smp") == ["2"]
    assert option(arguments, "-m") == ["192M"]
    assert option(arguments, "-incoming") == []
    everything = " ".join(arguments)
    for path in ("/k ", "/i ", "/root.ext4", "/code", "/run", "secret"):
        assert path not in everything


@pytest.mark.parametrize(("share", "word"), [(True, "share=on"), (False, "share=off")])
def test_memory_of_a_snapshot_is_shared_only_while_it_is_made(share: bool, word: str) -> None:
    launch = replace(LAUNCH, share_memory=share, incoming=not share)
    arguments = command_line(CONFIG, launch, replace(DESCRIPTORS, memory=17), port=20001)
    [memory] = option(arguments, "-object")
    assert memory == f"memory-backend-file,id=mem,size=192M,mem-path=/proc/self/fd/17,{word}"
    assert option(arguments, "-incoming") == ([] if share else ["defer"])


def test_accelerators_differ_in_processor_and_clock() -> None:
    tcg = command_line(CONFIG, LAUNCH, DESCRIPTORS, port=1)
    kvm = command_line(replace(CONFIG, accel="kvm"), LAUNCH, DESCRIPTORS, port=1)
    assert (option(tcg, "-accel"), option(tcg, "-cpu")) == (["tcg,tb-size=128"], ["max"])
    assert (option(kvm, "-accel"), option(kvm, "-cpu")) == (["kvm"], ["host"])
    assert "clocksource=tsc" in option(tcg, "-append")[0]
    assert "clocksource=tsc" not in option(kvm, "-append")[0]


def test_the_kernel_is_told_the_clock_rate_the_token_and_its_address() -> None:
    words = kernel_arguments(CONFIG, LAUNCH).split()
    assert {"tsc_early_khz=2500000", "aether_token=token-1", "aether.ip=169.254.0.2/16"} <= set(words)


def test_root_is_given_up_for_a_user_without_groups_or_capabilities() -> None:
    prefix = " ".join(privilege_prefix(CONFIG, 64005, dies_with_us=True))
    assert "--reuid 64005 --regid 64000 --clear-groups" in prefix
    assert "--bounding-set -all --inh-caps -all" in prefix
    assert prefix.endswith("--pdeathsig KILL")
    assert prefix.startswith("prlimit --core=0 -- setpriv --no-new-privs ")
    assert privilege_prefix(CONFIG, None, dies_with_us=False)[-2:] == ["setpriv", "--no-new-privs"]
