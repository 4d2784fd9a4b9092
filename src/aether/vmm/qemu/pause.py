"""Stopping a machine's virtual CPUs, and letting them go on."""

from __future__ import annotations

import asyncio

from aether.ports.vmm import MachineState
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.monitor import MonitorError, monitor_session

MONITOR_LIMIT_S = 10.0


async def switch(machine: QemuMachine, command: str, before: MachineState, after: MachineState) -> None:
    """By a command of the monitor; nothing where the state is another. Raises MonitorError."""
    async with machine.lock:
        if machine.state is not before:
            return
        try:
            async with (
                asyncio.timeout(MONITOR_LIMIT_S),
                monitor_session(machine.place.directory) as monitor,
            ):
                await monitor.execute(command)
        except TimeoutError:
            raise MonitorError(f"QEMU's {command}: no answer", component="worker") from None
        if machine.state is before:
            machine.state = after
