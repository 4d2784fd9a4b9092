"""One simulated instance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from aether.ports.vmm import End, EndReason, LogLine, MachineSpec, MachineState, OnLog
from aether.vmm.console import Console
from aether.vmm.end_latch import EndLatch
from aether.vmm.simulated.behaviour import HEALTH_PATH, Behaviour, Fault
from aether.vmm.simulated.function import FunctionServer, echo
from aether.vmm.simulated.reactions import Answer, Broken, Half, Last, Reaction
from aether.vmm.simulated.requests import Request


class SimulatedMachine:
    """Implements `aether.ports.vmm.Machine`; ready once `listen` has returned."""

    def __init__(
        self, spec: MachineSpec, behaviour: Behaviour, console: Console, on_log: OnLog, *, prepared: bool
    ) -> None:
        self.spec = spec
        self.address = ("127.0.0.1", 0)
        self.internal_ip = "127.0.0.1"
        self.state = MachineState.RUNNING
        self.phases: Mapping[str, float] = {}
        self.prepared = prepared
        self.starved_s = 0.0
        self.on_log = on_log
        self._console = console
        self._behaviour = behaviour
        self._answered = 0
        self._listens_since_s = 0.0
        self._runs = asyncio.Event()
        """Cleared while the guest gives no sign of life."""
        self._frozen = False
        self._runs.set()
        self._latch = EndLatch()
        self._server = FunctionServer(self._handle, behaviour.respond_s, self._arrived)

    async def listen(self) -> None:
        self.address = await self._server.listen()
        self._listens_since_s = time.monotonic()
        self.log("agent", f"ready on port {self.address[1]}")

    @property
    def has_ended(self) -> bool:
        return self._latch.value is not None

    @property
    def in_flight(self) -> int:
        return self._server.in_flight

    def console_tail(self) -> str:
        return self._console.tail()

    async def ended(self) -> End:
        return await self._latch.wait()

    async def ping(self) -> bool:
        """A sign of life of the guest; False when it has ended."""
        await self._runs.wait()
        return not self.has_ended

    def pause(self) -> None:
        if self.state is MachineState.RUNNING:
            self.state = MachineState.PAUSED
            self._runs.clear()
            self._server.freeze()

    def resume(self) -> None:
        if self.state is MachineState.PAUSED:
            self.state = MachineState.RUNNING
            if not self._frozen:
                self._runs.set()
            self._server.thaw()

    async def stop(self, grace_s: float, detail: str = "") -> None:
        """Running requests get `grace_s` to end."""
        if grace_s > 0 and self.state is MachineState.RUNNING:
            try:
                async with asyncio.timeout(grace_s):
                    await self._server.wait_idle()
                    await asyncio.sleep(self._behaviour.finish_s)
            except TimeoutError:
                pass
        self.end(End(EndReason.STOPPED, detail))
        await self._server.close()

    def end(self, end: End) -> None:
        """At once, breaking every connection. The first end counts."""
        if self.state is MachineState.ENDED:
            return
        self.state = MachineState.ENDED
        self._server.abort()
        self._latch.set(end)
        self._runs.set()

    def log(self, stream: str, text: str, call_id: str | None = None) -> None:
        self._console.write_line(stream, text)
        self.on_log(LogLine(stream, text, datetime.now(UTC), call_id))

    def _arrived(self, request: Request) -> None:
        if request.path != HEALTH_PATH:
            self.log("stdout", f"{request.method} {request.path}", request.header("x-call-id"))

    def _handle(self, request: Request) -> Reaction:
        if request.path == HEALTH_PATH:
            well = time.monotonic() - self._listens_since_s >= self._behaviour.well_after_s
            return 200 if well else 503, {}
        asked = request.header("x-simulated-fault")
        fault = Fault(asked) if asked else self._behaviour.fault_of(self._answered)
        if fault is not None:
            return self._fail(fault, request)
        self._answered += 1
        return self._answer(request)

    def _fail(self, fault: Fault, request: Request) -> Reaction:
        self.log("stderr", f"simulated {fault}")
        match fault:
            case Fault.CRASH:
                self.end(End(EndReason.EXITED, "exit code 1"))
            case Fault.OUT_OF_MEMORY:
                self.end(End(EndReason.OUT_OF_MEMORY, "simulated"))
            case Fault.HANG | Fault.FREEZE:
                self._server.hang()
                if fault is Fault.FREEZE:
                    self._frozen = True
                    self._runs.clear()
                return Broken.HELD
            case Fault.GARBAGE:
                return Broken.GARBAGE
            case Fault.CUT:
                return Half(self._answer(request))
            case Fault.EXIT_MID_ANSWER:
                return Half(self._answer(request), lambda: self.end(End(EndReason.EXITED, "exit code 1")))
            case Fault.EXIT_AFTER_ANSWER:
                return Last(self._answer(request), lambda: self.end(End(EndReason.EXITED, "exit code 0")))
        return Broken.ABORTED

    def _answer(self, request: Request) -> Answer:
        status = int(request.header("x-simulated-status") or 200)
        return status, {
            "instance_id": self.spec.instance_id,
            "function_id": self.spec.function_id,
            "entrypoint": self.spec.entrypoint,
            "code": self.spec.code.name,
            "env": dict(self.spec.env),
            **echo(request),
        }
