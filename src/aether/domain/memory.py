"""What an instance takes of a worker's memory, as admission counts it."""

from __future__ import annotations

MIB = 1 << 20
VMM_OVERHEAD = 96 * MIB
"""What a VMM process takes beside the guest's memory: QEMU's translated code, devices, stacks."""


def instance_bytes(memory_mib: int) -> int:
    """With its whole memory, touched or not."""
    return memory_mib * MIB + VMM_OVERHEAD
