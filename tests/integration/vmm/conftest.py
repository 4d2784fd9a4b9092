"""Real microVMs: images, a function to run in them, drivers, and a check that nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aether.images.catalog import Images, load_images
from aether.images.errors import MissingImages
from aether.images.tsc import tsc_khz
from aether.ports.vmm import MachineSpec
from aether.vmm.cgroups import NoPlace, Place, find_place
from aether.vmm.cgroups.place import leave, occupy
from aether.vmm.qemu import QemuConfig, QemuVmm

CODE = Path(__file__).parent / "function"


@pytest.fixture(scope="session")
def guest_images() -> Images:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aether"
    cache = Path(os.environ.get("AETHER_CACHE_DIR", default))
    try:
        return load_images(cache)
    except MissingImages as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no guest images: {error.message}; {error.hint}")


@pytest.fixture(scope="session")
def code_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tmp_path_factory.mktemp("code") / "code.ext4"
    command = ["mkfs.ext4", "-q", "-F", "-d", str(CODE), "-O", "^has_journal", "-m", "0", str(image), "2M"]
    subprocess.run(command, check=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
    return image


@pytest.fixture
def spec(guest_images: Images, code_image: Path) -> MachineSpec:
    runtime = guest_images.runtimes["node"]
    return MachineSpec("inst-1", "fn-1", runtime, code_image, "handler.js", 3000, 1, 128, {"A": "b"})


@pytest.fixture
def failing_spec(spec: MachineSpec) -> MachineSpec:
    return replace(spec, entrypoint="failing.js")


@pytest.fixture
def silent_spec(spec: MachineSpec) -> MachineSpec:
    return replace(spec, entrypoint="silent.js")


@pytest.fixture
def config(guest_images: Images, tmp_path: Path) -> QemuConfig:
    # Under load, two emulated machines on two cores take their time.
    return QemuConfig(
        kernel=guest_images.kernel, run_dir=tmp_path / "run", tsc_khz=tsc_khz(), boot_watchdog_s=30
    )


@pytest.fixture(scope="session")
def groups_place() -> Iterator[Place | NoPlace]:
    """Control groups of these tests' own, if this host lets us make some: others' come and go elsewhere."""
    place = find_place()
    if isinstance(place, NoPlace):
        yield place
        return
    occupy(place, "aether-tests")
    own = {controller: parent / f"tests-{os.getpid()}" for controller, parent in place.parents.items()}
    for path in dict.fromkeys(own.values()):
        path.mkdir()
        place.version.enable(path, own)
    yield replace(place, parents=own, vacate=False)
    for path in dict.fromkeys(own.values()):
        path.rmdir()
    leave(place, "aether-tests")


@pytest.fixture
def place(groups_place: Place | NoPlace) -> Place:
    if isinstance(groups_place, NoPlace):
        pytest.skip(f"no control groups here: {groups_place.why}")
    return groups_place


@pytest.fixture
def nothing_left(config: QemuConfig, groups_place: Place | NoPlace) -> Iterator[None]:
    """No process, no descriptor, no file of the run directory and no control group outlives a test."""
    before, groups_before = open_descriptors(), groups_of_ours(groups_place)
    yield
    assert children() == []
    assert open_descriptors() - before == set()
    assert not config.run_dir.exists()
    assert groups_of_ours(groups_place) - groups_before == set()


@pytest.fixture
async def vmm(
    config: QemuConfig, groups_place: Place | NoPlace, nothing_left: None
) -> AsyncIterator[QemuVmm]:
    driver = QemuVmm(config, groups_place)
    assert await driver.sweep() == []
    yield driver
    await driver.close()


@pytest.fixture
def again(config: QemuConfig, groups_place: Place | NoPlace, nothing_left: None) -> Callable[[], QemuVmm]:
    return lambda: QemuVmm(replace(config, embedded=False), groups_place)


def children() -> list[str]:
    """Names of this process's running children that are machines."""
    names: list[str] = []
    pids: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        # A thread or a process may end while we look.
        with contextlib.suppress(FileNotFoundError):
            pids += (task / "children").read_text().split()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
            if "qemu-system" in command or "setpriv" in command:
                names.append(f"{pid} {command}")
    return names


def groups_of_ours(place: Place | NoPlace) -> set[Path]:
    """Those of every platform in that place."""
    parents = () if isinstance(place, NoPlace) else place.parents.values()
    return {path for parent in parents for path in parent.glob("aether-*")}


def open_descriptors() -> set[str]:
    """What this process has open: sockets, pipes and files, as the kernel names them."""
    targets = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            targets.add(f"{entry.name} {entry.readlink()}")
        except FileNotFoundError:
            continue
    return {target for target in targets if "/proc/" not in target}
