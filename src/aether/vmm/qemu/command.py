"""QEMU's command line, as a pure function.

QEMU gets every file and socket as an inherited descriptor, so it needs no right to any directory.
Disks come as fd sets; what QEMU insists on opening by name (kernel, initramfs, memory) it reopens
through /proc/self/fd. Sources of flags: the QEMU 7.2 manual, and measurements with a TCG guest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aether.ports.vmm import MachineSpec
from aether.vmm.qemu.config import QemuConfig

GUEST_IP = "169.254.0.2"
GUEST_MAC = "06:00:a9:fe:00:02"

_QUIET = (
    "ipv6.disable=1 psi=0 mitigations=off audit=0 nowatchdog cgroup_disable=memory "
    "init_on_alloc=0 random.trust_cpu=on"
)
"""Arguments that spare the guest wake-ups and page clearing: under TCG each one is translated."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers that QEMU inherits."""

    kernel: int
    initrd: int
    root: int
    code: int
    monitor: int
    """Listening sockets: this one and the next two."""
    control: int
    console: int
    memory: int | None = None
    """A file that is the guest's memory; None for anonymous memory."""

    def all(self) -> list[int]:
        numbers = [self.kernel, self.initrd, self.root, self.code, self.monitor, self.control, self.console]
        return numbers if self.memory is None else [*numbers, self.memory]


@dataclass(frozen=True, slots=True)
class Launch:
    """How one machine is started."""

    spec: MachineSpec
    token: str
    share_memory: bool = False
    """The guest writes its memory file: a machine to be snapshotted. Else the file stays as it is."""
    incoming: bool = False
    """Wait for a state to restore."""


def command_line(config: QemuConfig, launch: Launch, descriptors: Descriptors, port: int) -> list[str]:
    """Arguments after the binary. `port` on 127.0.0.1 leads to the function's port."""
    spec = launch.spec
    # -name ends up in logs and process lists, never in the guest.
    arguments = ["-name", spec.instance_id, "-nodefaults", "-no-user-config", "-display", "none"]
    arguments += ["-M", "microvm,acpi=on,rtc=on,memory-backend=mem", *_processor(config, spec)]
    arguments += ["-m", f"{spec.memory_mib}M", "-object", _memory(launch, descriptors)]
    arguments += ["-kernel", _by_descriptor(descriptors.kernel)]
    arguments += ["-initrd", _by_descriptor(descriptors.initrd)]
    arguments += ["-append", kernel_arguments(config, launch)]
    arguments += _disks(descriptors)
    arguments += _channels(descriptors)
    arguments += ["-netdev", _network(spec.port, port)]
    arguments += ["-device", f"virtio-net-device,netdev=net,mac={GUEST_MAC}", "-no-reboot"]
    arguments += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    return [*arguments, "-incoming", "defer"] if launch.incoming else arguments


def kernel_arguments(config: QemuConfig, launch: Launch) -> str:
    """A panic or reboot ends the machine, since QEMU runs with -no-reboot."""
    words = ["console=ttyS0", "quiet", "reboot=t", "panic=-1", "no_timer_check", _QUIET]
    words.append(f"tsc_early_khz={config.tsc_khz}")
    if config.accel == "tcg":
        words.append("tsc=reliable clocksource=tsc")
    words += [f"aether_token={launch.token}", f"aether.ip={GUEST_IP}/16"]
    return " ".join(words)


def _processor(config: QemuConfig, spec: MachineSpec) -> list[str]:
    count = ["-smp", str(spec.vcpu)]
    if config.accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host", *count]
    return ["-accel", f"tcg,tb-size={config.translation_cache_mib}", "-cpu", "max", *count]


def _memory(launch: Launch, descriptors: Descriptors) -> str:
    size = f"id=mem,size={launch.spec.memory_mib}M"
    if descriptors.memory is None:
        return f"memory-backend-ram,{size}"
    share = "on" if launch.share_memory else "off"
    return f"memory-backend-file,{size},mem-path={_by_descriptor(descriptors.memory)},share={share}"


def _disks(descriptors: Descriptors) -> Iterator[str]:
    # The order makes the root /dev/vda and the code /dev/vdb. No locks: images are only read.
    for number, (name, descriptor) in enumerate((("root", descriptors.root), ("code", descriptors.code)), 1):
        yield from ("-add-fd", f"fd={descriptor},set={number}")
        yield "-blockdev"
        yield (
            f"driver=raw,node-name={name},read-only=on,"
            f"file.driver=file,file.filename=/dev/fdset/{number},file.locking=off"
        )
        yield from ("-device", f"virtio-blk-device,drive={name}")


def _channels(descriptors: Descriptors) -> Iterator[str]:
    names = {"monitor": descriptors.monitor, "control": descriptors.control, "console": descriptors.console}
    for name, descriptor in names.items():
        yield from ("-chardev", f"socket,id={name},fd={descriptor},server=on,wait=off")
    yield from ("-mon", "chardev=monitor,mode=control")
    yield from ("-serial", "chardev:console")
    yield from ("-device", "virtio-serial-device")
    yield from ("-device", "virtserialport,chardev=control,name=aether.control")


def _network(function_port: int, port: int) -> str:
    # restrict=on: the guest reaches nothing, not the host and not other machines.
    return (
        "user,id=net,restrict=on,ipv6=off,net=169.254.0.0/16,host=169.254.0.1,"
        f"dhcpstart={GUEST_IP},hostfwd=tcp:127.0.0.1:{port}-{GUEST_IP}:{function_port}"
    )


def _by_descriptor(number: int) -> str:
    return f"/proc/self/fd/{number}"
