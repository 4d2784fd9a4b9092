"""Starting, freezing and ending microVMs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from aether.domain.deadline import Deadline
from aether.domain.errors import AetherError


@dataclass(frozen=True, slots=True)
class Runtime:
    """A root filesystem and how a function is started in it.

    `command` is run in the root, as `user`:`group` (numeric), with cwd `/code` and the function's
    environment. A root made to the seed's recipe has `command=("/init",)` and user 0.
    """

    name: str
    root: Path
    command: tuple[str, ...]
    default_entrypoint: str
    user: int = 1000
    group: int = 1000
    digest: str = ""
    """Of the root's content; part of a snapshot's key."""
    answers_probes: bool = False
    """Its bootstrap answers a request with `X-Aether-Probe` itself, from the function's event loop."""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """Everything that makes one microVM. `code` is an ext4 image, attached read-only."""

    instance_id: str
    function_id: str
    runtime: Runtime
    code: Path
    entrypoint: str
    port: int
    vcpu: int
    memory_mib: int
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One whole line of output. `stream` is `stdout`, `stderr` or `agent` (what the agent itself says)."""

    stream: str
    text: str
    at: datetime
    call_id: str | None = None
    """Of the call that printed it, where the runtime's bootstrap can tell."""


@dataclass(frozen=True, slots=True)
class GuestKernel:
    """What every machine of a host boots: an uncompressed kernel (PVH ELF) and our initramfs."""

    kernel: Path
    initrd: Path
    digest: str
    """Over both; part of a snapshot's key."""


class EndReason(StrEnum):
    STOPPED = "stopped"
    """We asked for it."""
    EXITED = "exited"
    """The function's main process ended; detail has its exit code or signal."""
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    """The VMM process itself ended without our asking."""


@dataclass(frozen=True, slots=True)
class End:
    reason: EndReason
    detail: str = ""


class MachineState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A machine frozen when its function was ready, in a directory of its own.

    It belongs to what made it: `key` covers VMM version, CPU model, kernel, agent, runtime, code,
    vcpu, memory and env, and `restore` refuses one whose key does not fit.
    """

    directory: Path
    key: str
    spec: MachineSpec


class BootFailed(AetherError):
    """The machine ended, or was not ready in time. `console_tail` has its last lines, newest last."""

    code, status = "instance_failed", 502

    def __init__(self, message: str, *, console_tail: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint or console_tail or None, component="worker")
        self.console_tail = console_tail


class SnapshotInvalid(AetherError):
    """The snapshot is missing, damaged, or made by something else: boot instead."""

    code, status = "snapshot_invalid", 500


class Machine(Protocol):
    """A microVM whose function is ready, until it has ended."""

    @property
    def spec(self) -> MachineSpec: ...
    @property
    def address(self) -> tuple[str, int]:
        """Where the host reaches the function's port by TCP."""
        ...

    @property
    def internal_ip(self) -> str:
        """The function's address as seen from inside."""
        ...

    @property
    def state(self) -> MachineState: ...
    @property
    def phases(self) -> Mapping[str, float]:
        """Milliseconds that the start took, by phase: `boot` or `restore`, then `ready`."""
        ...

    async def ended(self) -> End:
        """Wait until the machine has ended, and tell why. Any number may wait."""
        ...


class Vmm(Protocol):
    """Drives one kind of virtual machine monitor on this host.

    Starting: `boot`, `prepare` and `restore` return when the function listens on its port; they
    raise BootFailed at the deadline, when the guest shows no sign of life for the driver's
    watchdog time, or when the machine ends before. Cancelling one leaves nothing behind.
    A failed start leaves nothing behind either: process, socket, file.

    Every line that the function or the agent prints goes to `on_log` of the start call, in order;
    the newest are also kept, bounded, for `console`.
    """

    @property
    def name(self) -> str:
        """`qemu`, `firecracker`, `simulated`: shown to users."""
        ...

    @property
    def accel(self) -> str:
        """`kvm`, `tcg` or `none`."""
        ...

    @property
    def limits(self) -> str:
        """How the host holds machines to their memory and processors; `none`, if it does not."""
        ...

    @property
    def overhead_mib(self) -> int:
        """What a machine takes at most of the host's memory beside the guest's own."""
        ...

    def resident(self) -> Mapping[str, int]:
        """Bytes that machines have of the host's memory now, starting ones too, by instance id."""
        ...

    async def boot(self, spec: MachineSpec, deadline: Deadline, on_log: OnLog) -> Machine:
        """Start a machine from nothing."""
        ...

    async def prepare(self, spec: MachineSpec, deadline: Deadline, on_log: OnLog) -> Machine:
        """Start a machine aside in a form that can be snapshotted. It never gets a request."""
        ...

    async def snapshot(self, machine: Machine, directory: Path) -> Snapshot:
        """Freeze a prepared machine into `directory` (made here, whole or not at all) and end it.

        Raises ValueError for a machine that `prepare` did not make.
        """
        ...

    async def restore(
        self, snapshot: Snapshot, instance_id: str, deadline: Deadline, on_log: OnLog
    ) -> Machine:
        """Start a clone. Before the function can get a request it has the new identity, the
        right clock and fresh kernel entropy. Any number of clones of one snapshot may run.

        Raises SnapshotInvalid when the snapshot can't be used, BootFailed as `boot` does.
        """
        ...

    async def load(self, directory: Path) -> Snapshot:
        """A snapshot made earlier, perhaps by another process. Raises SnapshotInvalid."""
        ...

    async def pause(self, machine: Machine) -> None:
        """Stop the virtual CPUs. Requests wait. A second pause does nothing."""
        ...

    async def resume(self, machine: Machine) -> None: ...

    async def ping(self, machine: Machine) -> bool:
        """Wait for a sign of life of the guest itself; False when the machine has ended.

        A guest that is paused or hangs gives none: the caller has a limit. That the function hangs is
        no matter here.
        """
        ...

    def starved_s(self, machine: Machine) -> float:
        """Seconds, so far, that it could have run and this host had no processor for it; 0.0 if unknown.

        Who waits for a machine takes the growth of this off the time that passed.
        """
        ...

    async def stop(self, machine: Machine, grace_s: float = 0.0) -> None:
        """End the machine: SIGTERM to the function, `grace_s` for it, then the end. Idempotent."""
        ...

    async def adopt(self, instance_id: str, on_log: OnLog) -> Machine:
        """Take over a running machine that an earlier process of this host started.

        Raises KeyError if there is none.
        """
        ...

    async def list(self) -> list[str]:
        """Instance ids of all machines on this host that this driver can adopt or that it runs."""
        ...

    def console(self, instance_id: str) -> str:
        """The newest output of a machine, raw console and lines, bounded; '' if unknown."""
        ...

    async def close(self) -> None:
        """End what this driver runs, unless it was made to leave machines for a later `adopt`."""
        ...


OnLog = Callable[[LogLine], None]


def ignore_log(_line: LogLine) -> None:
    """For callers that want no output."""
