"""Whether KVM can really be used: a probe machine either says hello within seconds, or it can't.

`/dev/kvm` may be there, open, and make machines, and still be thousands of times too slow, on a
host that is itself a guest. So a machine is booted, once, and the answer kept for that host.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from aether.images.arch import host_architecture
from aether.images.host import find_tool
from aether.images.progress import ending
from aether.ports.vmm import GuestKernel

DEVICE = Path("/dev/kvm")
LIMIT_S = 10.0
"""Under KVM the agent's first message takes well under a second."""

POLL_S = 0.05
HELLO_HEAD_LENGTH = 5
"""Four bytes of length, then the type."""


def kvm_works(cache_dir: Path, kernel: GuestKernel) -> bool:
    """From the cache if this host (kernel, processor, QEMU) was asked before; else by a probe boot."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    qemu = find_tool(host_architecture().qemu_binary)
    if qemu is None:
        return False
    kept = cache_dir / "probe.json"
    host = host_identity(qemu)
    answers = read_answers(kept)
    if host not in answers:
        answers = {**answers, host: probe_boot(qemu, kernel)}
        with contextlib.suppress(OSError):  # a cache that can't be written costs a probe each time, no more
            write_answers(kept, answers)
    return answers[host]


def host_identity(qemu: str) -> str:
    model = next(
        (line.partition(":")[2].strip() for line in cpuinfo() if line.startswith("model name")), "unknown"
    )
    return f"{platform.release()} | {model} | {qemu_version(qemu)}"


def cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()


def qemu_version(qemu: str) -> str:
    """The first line of `--version`; empty when the program can't be run."""
    try:
        ran = subprocess.run([qemu, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.partition("\n")[0]


def probe_boot(qemu: str, kernel: GuestKernel) -> bool:
    """Boot our kernel and agent under KVM; true if the agent's hello comes in time."""
    with tempfile.TemporaryDirectory(prefix="aether-probe-") as folder:
        said = Path(folder) / "control"
        command = [
            qemu, "-M", "microvm,acpi=on,rtc=on,accel=kvm", "-cpu", "host", "-m", "128", "-nodefaults",
            "-no-user-config", "-no-reboot", "-display", "none", "-kernel", str(kernel.kernel),
            "-initrd", str(kernel.initrd), "-append", "quiet reboot=t panic=-1",
            "-device", "virtio-serial-device", "-chardev", f"file,id=control,path={said}",
            "-device", "virtserialport,chardev=control,name=aether.control",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with ending(process):
            until = time.monotonic() + LIMIT_S
            while time.monotonic() < until and process.poll() is None:
                if hello_in(said):
                    return True
                time.sleep(POLL_S)
            return hello_in(said)


def hello_in(said: Path) -> bool:
    try:
        head = said.read_bytes()[:HELLO_HEAD_LENGTH]
    except FileNotFoundError:
        return False
    return len(head) == HELLO_HEAD_LENGTH and head[4:] == b"H"


def read_answers(kept: Path) -> dict[str, bool]:
    try:
        found = json.loads(kept.read_text())
    except (OSError, ValueError):
        return {}
    return {str(host): works is True for host, works in found.items()} if isinstance(found, dict) else {}


def write_answers(kept: Path, answers: Mapping[str, bool]) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    new = kept.with_name(f"{kept.name}.{os.getpid()}")
    new.write_text(json.dumps(answers, indent=1))
    new.replace(kept)
