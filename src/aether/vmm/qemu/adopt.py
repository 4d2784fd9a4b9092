"""Taking over a machine that an earlier process started."""

from __future__ import annotations

import asyncio

from aether.ports.vmm import MachineState, OnLog
from aether.vmm import messages
from aether.vmm.messages import Status
from aether.vmm.qemu.host import QemuHost
from aether.vmm.qemu.machine import QemuMachine
from aether.vmm.qemu.monitor import MonitorError, monitor_session
from aether.vmm.qemu.process import Process
from aether.vmm.qemu.records import Record


async def adopt(host: QemuHost, record: Record, on_log: OnLog) -> QemuMachine:
    """Raises KeyError when it has ended, or does not answer: then it is ended."""
    instance_id = record.spec.instance_id
    machine = host.readmit(record, on_log)
    try:
        machine.attach(lambda on_exit: Process.adopt(record.pid, record.ticks, on_exit))
    except ProcessLookupError:
        host.forget(machine)
        raise KeyError(instance_id) from None
    try:
        async with asyncio.timeout(host.config.adopt_watchdog_s):
            await machine.connect()
            await _learn_state(machine)
    except (OSError, MonitorError):
        await machine.abandon()
        raise KeyError(instance_id) from None
    except BaseException:
        await machine.disconnect()
        host.let_go(machine)
        raise
    if machine.end is not None:
        raise KeyError(instance_id)
    machine.phases = record.phases or {}
    machine.ready = True
    return machine


async def _learn_state(machine: QemuMachine) -> None:
    async with monitor_session(machine.place.directory) as monitor:
        status = (await monitor.execute("query-status"))["status"]
    if status == "paused":
        machine.state = MachineState.PAUSED
        return
    machine.send(messages.who())
    await machine.sign(Status)
