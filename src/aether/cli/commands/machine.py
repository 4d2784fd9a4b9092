"""`aether setup` and `doctor`: what this machine has, and making what is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from aether.cli import output
from aether.cli.failures import ExitCode
from aether.cli.options import Json

if TYPE_CHECKING:
    from aether.cli.settings import Settings
    from aether.images.catalog import ImageSettings
    from aether.images.progress import Progress, Report

CacheDir = Annotated[Path | None, Parameter(env_var="AETHER_CACHE_DIR")]

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def setup(*, refresh: bool = False, cache_dir: CacheDir = None) -> None:
    """Build what microVMs are made of: kernel, initramfs, runtimes.

    Done once; a second run finds everything and takes no time and no network. Interrupted, it goes
    on where it was. What it needs from your distribution it names, or installs when run as root.

    **Examples**

    ```
    aether setup
    aether setup --refresh
    ```

    Parameters
    ----------
    refresh
        Look for newer packages, and build anew what they change.
    cache_dir
        Where the images are kept. Default: ~/.cache/aether
    """
    from aether.images.setup import setup as build  # noqa: PLC0415 - imports what building images needs

    settings, own = _images(cache_dir)
    with _progress() as report:
        build(settings.cache_dir, report, own, refresh=refresh)


def doctor(*, json: Json = False, cache_dir: CacheDir = None) -> int:
    """Say what this machine can do for microVMs, and how to get what is missing.

    Where settings of a role are given, such as ETCD_ENDPOINTS, its stores, addresses and ports are looked at
    as well. The exit code is 1 when something is missing without which no microVM or no role starts.

    **Examples**

    ```
    aether doctor
    aether doctor --json | jq -r '.[] | select(.level == "fail") | .fix'
    ```

    Parameters
    ----------
    json
        Print a list of objects: `name`, `level` (`ok`, `warn`, `fail`), `detail`, `fix`.
    cache_dir
        Where images, and what was found out before, are kept. Default: ~/.cache/aether
    """
    from aether.cli.host_checks import host_checks  # noqa: PLC0415 - imports the worker
    from aether.cli.role_checks import role_checks  # noqa: PLC0415 - imports the stores' clients
    from aether.images.probe import probe  # noqa: PLC0415 - imports what building images needs

    settings, own = _images(cache_dir)
    with output.waiting("Looking at this machine"):
        checks = probe(settings.cache_dir, own, host=[*host_checks(), *role_checks(settings)])
    if json:
        output.print_json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{MARKS[check.level]}  {output.bold(check.name.ljust(width))}  {check.detail}")
            if check.fix:
                print(f"      {'':{width}}  fix: {check.fix}")
    return ExitCode.REFUSED if any(check.level == "fail" for check in checks) else ExitCode.OK


def _images(cache_dir: Path | None) -> tuple[Settings, ImageSettings]:
    """The same settings that `aether up` goes by, and the user's own images out of them."""
    from aether.cli.settings import load_settings  # noqa: PLC0415 - pydantic is slow to import
    from aether.images.catalog import ImageSettings  # noqa: PLC0415 - as above

    settings = load_settings(cache_dir=cache_dir)
    return settings, ImageSettings(kernel_path=settings.kernel_path, runtime_path=settings.runtime_path)


@contextmanager
def _progress() -> Iterator[Report]:
    """A line that moves on a terminal, plain lines anywhere else."""
    if not sys.stderr.isatty():
        from aether.images.__main__ import PlainProgress  # noqa: PLC0415 - see `setup`

        yield PlainProgress()
        return
    from rich.console import Console  # noqa: PLC0415 - see `output.waiting`
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(stderr=True, highlight=False)
    with console.status("Looking") as status:

        def report(progress: Progress) -> None:
            if progress.done:
                console.print(f"{progress.step}: {progress.text} ({progress.elapsed_s:.1f} s)", markup=False)
            told = f"{progress.step}: {progress.text} {progress.detail} {progress.elapsed_s:.0f} s"
            status.update(Text(told))

        yield report
