"""From an uploaded archive to the ext4 image that instances see as `/code`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aether
from aether.domain.errors import AetherError, ArchiveRejected, DiskFull
from aether.images.archive import ArchiveLimits
from aether.images.unpack import KNOWN_ERRORS, UnpackOrder, UnpackReport

_PREFIX = "code-image-"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class CodeImage:
    """A file in the work directory that belongs to the caller, who removes it."""

    path: Path
    sha256: str
    size_bytes: int


async def build_code_image(
    archive: Path,
    filename: str | None,
    entrypoint: str,
    work_dir: Path,
    limits: ArchiveLimits | None = None,
) -> CodeImage:
    """Unpack in a confined process of its own, check for the entrypoint, make the image.

    The same archive gives the same image on the same host. Raises ArchiveRejected, TooLarge,
    DiskFull. Failed or cancelled, it leaves nothing in `work_dir`.
    """
    job = await asyncio.to_thread(_make_job_directory, work_dir)
    try:
        order = UnpackOrder(
            archive=str(archive),
            filename=filename,
            entrypoint=entrypoint,
            tree=str(job / "tree"),
            image=str(job / "image.ext4"),
            limits=limits or ArchiveLimits(),
        )
        report = await _run(order)
        if report.error:
            raise KNOWN_ERRORS[report.error](report.message, hint=report.hint)
        image = job.with_suffix(".ext4")
        (job / "image.ext4").rename(image)
        return CodeImage(image, report.sha256, report.size_bytes)
    finally:
        await asyncio.to_thread(shutil.rmtree, job, ignore_errors=True)


def sweep(work_dir: Path) -> None:
    """Remove what a process that was killed left behind; for before the first build."""
    for leftover in work_dir.glob(f"{_PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _make_job_directory(work_dir: Path) -> Path:
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        job = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=work_dir)).absolute()
        (job / "tree").mkdir()
    except OSError as error:
        raise DiskFull(f"can't make a directory to unpack into: {error.strerror}") from error
    return job


async def _run(order: UnpackOrder) -> UnpackReport:
    environment = {
        "PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}",
        "PYTHONPATH": str(Path(aether.__file__).parent.parent),
        "LC_ALL": "C.UTF-8",
    }
    # -P: the working directory is no place to import from.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "aether.images.unpack", order.to_json(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, complaints = await process.communicate()
    finally:
        # The group: mkfs is a child of that process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ArchiveRejected("the archive takes too long to unpack")
    if process.returncode != 0:
        last = complaints.decode(errors="replace").strip().splitlines()[-1:]
        if last == ["MemoryError"]:  # so full that it could not even say so
            raise ArchiveRejected("the archive needs too much memory to unpack")
        raise AetherError(f"unpacking ended with {process.returncode}: {' '.join(last)}", component="images")
    return UnpackReport(**json.loads(output))
