"""The floor: QEMU started by hand with the same kernel, images, devices and flags, and nothing else.

No driver, no event loop, no hardening beyond what a flag is; what a start takes here is what the
driver can at best reach. A restore here gives no identity and sets no clock.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aether.ports.vmm import GuestKernel, MachineSpec

GUEST_IP = "169.254.0.2"
QUIET = (
    "console=ttyS0 quiet reboot=t panic=-1 no_timer_check ipv6.disable=1 psi=0 mitigations=off audit=0 "
    "nowatchdog cgroup_disable=memory init_on_alloc=0 random.trust_cpu=on tsc=reliable clocksource=tsc"
)
HEAD = struct.Struct(">Ic")


@dataclass(frozen=True)
class Bare:
    """What all of its machines share."""

    kernel: GuestKernel
    spec: MachineSpec
    tsc_khz: int
    directory: Path

    def boot_to_answer(self) -> float:
        """Milliseconds from the spawn to the first answer."""
        began = time.perf_counter()
        with self._machine() as (_, control, port):
            self._start_function(control)
            ask(port)
            return (time.perf_counter() - began) * 1000

    def take_snapshot(self) -> None:
        """Memory and state of a machine whose function is ready, in `directory`."""
        memory = self.directory / "floor.memory"
        with self._machine(memory=memory, share=True) as (process, control, _):
            self._start_function(control)
            with self._monitor() as monitor, _listener(self.directory / "floor.out") as out:
                _command(monitor, "migrate-set-capabilities", **IGNORE_SHARED)
                _command(monitor, "migrate", uri=f"unix:{self.directory / 'floor.out'}")
                source, _ = out.accept()
                with source, (self.directory / "floor.state").open("wb") as state:
                    while piece := source.recv(1 << 20):
                        state.write(piece)
                process.kill()

    def restore_to_answer(self) -> float:
        """Milliseconds from the spawn to the first answer."""
        state = (self.directory / "floor.state").read_bytes()
        began = time.perf_counter()
        with self._machine(memory=self.directory / "floor.memory", incoming=True) as (_, _, port):
            with self._monitor() as monitor:
                _command(monitor, "migrate-set-capabilities", **IGNORE_SHARED)
                incoming = self.directory / "floor.in"
                _command(monitor, "migrate-incoming", uri=f"unix:{incoming}")
                with socket.socket(socket.AF_UNIX) as sink:
                    sink.connect(str(incoming))
                    sink.sendall(state)
                _until_event(monitor, "RESUME")
            ask(port)
            return (time.perf_counter() - began) * 1000

    @contextmanager
    def _machine(
        self, *, memory: Path | None = None, share: bool = False, incoming: bool = False
    ) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, int]]:
        for name in ("floor.qmp", "floor.ctl", "floor.in", "floor.out"):
            (self.directory / name).unlink(missing_ok=True)
        port = _free_port()
        process = subprocess.Popen(self._command_line(port, memory, share=share, incoming=incoming))
        try:
            yield process, _connected(self.directory / "floor.ctl"), port
        finally:
            process.kill()
            process.wait()

    def _command_line(self, port: int, memory: Path | None, *, share: bool, incoming: bool) -> list[str]:
        spec = self.spec
        backend = f"id=mem,size={spec.memory_mib}M"
        if memory is not None:
            backend += f",mem-path={memory},share={'on' if share else 'off'}"
        kind = "memory-backend-ram" if memory is None else "memory-backend-file"
        network = f"user,id=net,restrict=on,ipv6=off,net=169.254.0.0/16,host=169.254.0.1,dhcpstart={GUEST_IP}"
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += [
            "-M",
            "microvm,acpi=on,rtc=on,memory-backend=mem",
            "-accel",
            "tcg,tb-size=128",
            "-cpu",
            "max",
        ]
        command += ["-smp", str(spec.vcpu), "-m", f"{spec.memory_mib}M", "-object", f"{kind},{backend}"]
        command += ["-kernel", str(self.kernel.kernel), "-initrd", str(self.kernel.initrd)]
        words = f"{QUIET} tsc_early_khz={self.tsc_khz} aether_token=floor aether.ip={GUEST_IP}/16"
        command += ["-append", words]
        for name, image in (("root", spec.runtime.root), ("code", spec.code)):
            command += ["-drive", f"if=none,id={name},file={image},format=raw,readonly=on"]
            command += ["-device", f"virtio-blk-device,drive={name}"]
        command += ["-qmp", f"unix:{self.directory / 'floor.qmp'},server=on,wait=off", "-serial", "null"]
        command += ["-device", "virtio-serial-device"]
        command += ["-chardev", f"socket,id=ctl,path={self.directory / 'floor.ctl'},server=on,wait=off"]
        command += ["-device", "virtserialport,chardev=ctl,name=aether.control"]
        command += ["-netdev", f"{network},hostfwd=tcp:127.0.0.1:{port}-{GUEST_IP}:{spec.port}"]
        command += ["-device", "virtio-net-device,netdev=net,mac=06:00:a9:fe:00:02"]
        return [*command, "-incoming", "defer"] if incoming else command

    def _start_function(self, control: socket.socket) -> None:
        spec = self.spec
        metadata = {"token": "floor", "env": dict(spec.env), "entrypoint": spec.entrypoint, "port": spec.port}
        message = {
            "metadata": metadata,
            "command": spec.runtime.command,
            "user": spec.runtime.user,
            "group": spec.runtime.group,
            "instance_id": "floor",
            "function_id": "floor",
        }
        reader = control.makefile("rb")
        _until_frame(reader, b"H")
        payload = json.dumps(message).encode()
        control.sendall(HEAD.pack(len(payload), b"M") + payload)
        _until_frame(reader, b"R")

    @contextmanager
    def _monitor(self) -> Iterator[socket.socket]:
        with _connected(self.directory / "floor.qmp") as monitor:
            monitor.recv(65536)
            _command(monitor, "qmp_capabilities")
            yield monitor


IGNORE_SHARED = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}


def ask(port: int) -> None:
    """One request, until its answer's last byte."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: floor\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the function did not answer: {answer[:200]!r}")


def _until_frame(reader: BinaryIO, kind: bytes) -> None:
    while True:
        length, found = HEAD.unpack(reader.read(HEAD.size))
        reader.read(length)
        if found == kind:
            return


def _command(monitor: socket.socket, name: str, **arguments: object) -> None:
    monitor.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
    answer = b""
    while b'"return"' not in answer:
        answer += monitor.recv(65536)
        if b'"error"' in answer:
            raise RuntimeError(answer.decode())


def _until_event(monitor: socket.socket, name: str) -> None:
    """QEMU resumes by itself: the snapshot was taken of a running machine."""
    heard = b""
    while name.encode() not in heard:
        heard += monitor.recv(65536)


def _connected(path: Path) -> socket.socket:
    give_up_at = time.monotonic() + 10
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.001)
        else:
            return connection


@contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)
        yield listening


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
