"""Boot and restore of one Node function: our driver against bare QEMU, taken in turn.

Each figure is from the start of the machine to the end of the function's first answer, asked for
at its own port, without gateway and proxy.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from aether.cli.paths import default_cache_dir
from aether.domain.deadline import Deadline
from aether.images.catalog import Images, load_images
from aether.images.tsc import tsc_khz
from aether.ports.vmm import Machine, MachineSpec, Snapshot, ignore_log
from aether.vmm.qemu import QemuConfig, QemuVmm
from benchmarks.floor import Bare, ask
from benchmarks.report import median, percentile

RUNS = 20
HANDLER = "module.exports = (request, response) => response.end('hello')\n"
MEMORY_MIB = 128
START_WITHIN_S = 60.0


def measure(runs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as folder:
        return asyncio.run(_measure(Path(folder), load_images(default_cache_dir()), runs))


async def _measure(folder: Path, images: Images, runs: int) -> dict[str, float]:
    spec = MachineSpec(
        instance_id="bench",
        function_id="bench",
        runtime=images.runtimes["node"],
        code=code_image(folder),
        entrypoint="handler.js",
        port=3000,
        vcpu=1,
        memory_mib=MEMORY_MIB,
    )
    rate = tsc_khz()
    bare = Bare(images.kernel, spec, rate, folder)
    vmm = QemuVmm(QemuConfig(kernel=images.kernel, run_dir=folder / "run", tsc_khz=rate))
    await vmm.sweep()
    bench = _Bench(vmm, spec)
    try:
        await bench.take_snapshot(folder / "snapshot")
        await asyncio.to_thread(bare.take_snapshot)
        boots, floor_boots = await _in_turn(bench.boot, bare.boot_to_answer, runs, "boot")
        restores, floor_restores = await _in_turn(bench.restore, bare.restore_to_answer, runs, "restore")
    finally:
        await vmm.close()
    return {
        "boot_p50_ms": median(boots),
        "boot_p95_ms": percentile(boots, 95),
        "floor_boot_p50_ms": median(floor_boots),
        "boot_over_floor": median([a / b for a, b in zip(boots, floor_boots, strict=True)]),
        "restore_p50_ms": median(restores),
        "restore_p95_ms": percentile(restores, 95),
        "floor_restore_p50_ms": median(floor_restores),
        "restore_over_floor": median([a / b for a, b in zip(restores, floor_restores, strict=True)]),
    }


class _Bench:
    def __init__(self, vmm: QemuVmm, spec: MachineSpec) -> None:
        self._vmm = vmm
        self._spec = spec
        self._snapshot: Snapshot | None = None
        self._names = (f"bench-{n}" for n in itertools.count())

    async def take_snapshot(self, directory: Path) -> None:
        spec = replace(self._spec, instance_id=next(self._names))
        machine = await self._vmm.prepare(spec, _deadline(), ignore_log)
        self._snapshot = await self._vmm.snapshot(machine, directory)

    async def boot(self) -> float:
        began = time.perf_counter()
        spec = replace(self._spec, instance_id=next(self._names))
        return await self._answered(await self._vmm.boot(spec, _deadline(), ignore_log), began)

    async def restore(self) -> float:
        assert self._snapshot is not None
        began = time.perf_counter()
        machine = await self._vmm.restore(self._snapshot, next(self._names), _deadline(), ignore_log)
        return await self._answered(machine, began)

    async def _answered(self, machine: Machine, began: float) -> float:
        try:
            await asyncio.to_thread(ask, machine.address[1])
            return (time.perf_counter() - began) * 1000
        finally:
            await self._vmm.stop(machine)


async def _in_turn(
    ours: Callable[[], Awaitable[float]], floor: Callable[[], float], runs: int, what: str
) -> tuple[list[float], list[float]]:
    """A B A B …, after one of each that doesn't count, so that a drift of the machine hits both."""
    first: list[float] = []
    second: list[float] = []
    for run in range(runs + 1):
        pair = await ours(), await asyncio.to_thread(floor)
        print(f"{what} {run:2}/{runs}: ours {pair[0]:7.1f} ms, bare {pair[1]:7.1f} ms", flush=True)
        if run:
            first.append(pair[0])
            second.append(pair[1])
    return first, second


def _deadline() -> Deadline:
    return Deadline.after(START_WITHIN_S, time.monotonic())


def code_image(folder: Path) -> Path:
    source = folder / "code"
    source.mkdir()
    (source / "handler.js").write_text(HANDLER)
    image = folder / "code.ext4"
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-d", source, "-O", "^has_journal", "-m", "0", image, "2M"], check=True
    )
    return image
