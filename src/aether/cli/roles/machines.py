"""The VMM of a host, and the runtimes that it boots."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from aether.cli.data_dir import MACHINES
from aether.cli.output import bold, say
from aether.cli.settings import Settings
from aether.images.catalog import NODE, Images, ImageSettings, load_images
from aether.images.kvm import kvm_works
from aether.images.tsc import tsc_khz
from aether.ports.vmm import Runtime
from aether.vmm.cgroups import find_place
from aether.vmm.qemu import QemuConfig, QemuVmm
from aether.vmm.simulated import SimulatedVmm

log = structlog.get_logger()

SIMULATED = (
    "AETHER_VMM=simulated: NOBODY'S CODE RUNS HERE. Instances are parts of this process and answer by "
    "themselves, to try a control plane."
)


@dataclass(frozen=True, slots=True)
class Machines:
    vmm: QemuVmm | SimulatedVmm
    runtimes: dict[str, Runtime]

    async def ready(self) -> None:
        """Once, before the first start: what a killed process left is removed, and limits are looked at."""
        if not isinstance(self.vmm, QemuVmm):
            return
        left = await self.vmm.sweep()
        if left:
            log.warning("cleaned up what a killed platform left behind", instances=left)
        if self.vmm.why_no_limits:
            log.warning(
                "nothing holds microVMs to their share: see aether doctor", reason=self.vmm.why_no_limits
            )


def load_machines(settings: Settings, *, embedded: bool) -> Machines:
    """`embedded`: they end with this process. Raises MissingImages."""
    if settings.vmm == "simulated":
        say(bold(SIMULATED))
        return Machines(SimulatedVmm(embedded=embedded), {NODE.name: NODE})
    images = load_images(
        settings.cache_dir,
        ImageSettings(kernel_path=settings.kernel_path, runtime_path=settings.runtime_path),
    )
    return Machines(_qemu(settings, images, embedded=embedded), images.runtimes)


def _qemu(settings: Settings, images: Images, *, embedded: bool) -> QemuVmm:
    """The QEMU driver as this host can have it: KVM only where a probe machine booted under it."""
    accel = "kvm" if kvm_works(settings.cache_dir, images.kernel) else "tcg"
    config = QemuConfig(
        kernel=images.kernel,
        run_dir=settings.sockets / MACHINES,
        tsc_khz=tsc_khz(),
        accel=accel,
        embedded=embedded,
    )
    return QemuVmm(config, find_place())
