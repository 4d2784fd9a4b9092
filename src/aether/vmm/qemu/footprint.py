"""What a machine takes of its host, and what it is held to.

Measured with QEMU 7.2 under TCG, a Node function that compiles and allocates all it can, by the kernel's
own count of the process's group: 301 MiB at most for a guest of 128 MiB, 680 MiB for one of 512, with a
translation cache of 128 MiB; 223 and 184 MiB for 128 with one of 64 and 32. So beside the guest and a
full cache, 24 to 45 MiB are QEMU's own. No more than eight threads were seen, and in none of the 100 ms
that the kernel looks at did the machine want more than its virtual CPU and half a processor.
"""

from __future__ import annotations

from aether.domain.memory import MIB
from aether.ports.vmm import MachineSpec
from aether.vmm.cgroups import Bounds
from aether.vmm.qemu.config import QemuConfig

OWN_MIB = 48
"""QEMU's heap, stacks, devices, and tables of what is translated."""
SLACK_MIB = 64
"""Between what a machine takes and what it is killed for: page cache, and the kernel's own memory for it."""
OWN_CPUS = 0.5
"""For QEMU's main loop, which moves the guest's packets and blocks, beside the virtual CPUs."""
OWN_THREADS = 96
"""QEMU's pool for disks has up to 64; the rest are its main loop and others of its own."""


def overhead_mib(config: QemuConfig) -> int:
    """What a machine takes at most beside the guest's memory."""
    return OWN_MIB + (config.translation_cache_mib if config.accel == "tcg" else 0)


def bounds(config: QemuConfig, spec: MachineSpec) -> Bounds:
    return Bounds(
        memory_bytes=(spec.memory_mib + overhead_mib(config) + SLACK_MIB) * MIB,
        cpus=spec.vcpu + OWN_CPUS,
        share=spec.vcpu,
        pids=spec.vcpu + OWN_THREADS,
    )
