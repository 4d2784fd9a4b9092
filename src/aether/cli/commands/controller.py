"""`aether controller`: who scales, as a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal


def controller(
    *,
    wait_for_stores: bool = False,
    data_dir: Path | None = None,
    log_level: Literal["debug", "info", "warning", "error"] | None = None,
) -> int:
    """Run a controller by itself: it scales functions while it is the elected one.

    One of all controllers and of all gateways that run with `--with-controller` is elected by etcd; when it
    ends or is cut off, another goes on within seconds. It needs etcd (ETCD_ENDPOINTS) and Redis (REDIS_ADDR).

    **Examples**

    ```
    aether controller
    aether controller --wait-for-stores
    ```

    Parameters
    ----------
    wait_for_stores
        Try stores that can't be reached again until they are there, instead of ending.
    data_dir
        One for each on a host. Default: ~/.local/share/aether
    log_level
        Least severe message that is written to stderr. Default: info
    """
    from aether.cli.roles.controller_role import run_controller  # noqa: PLC0415 - imports the platform
    from aether.cli.roles.serving import serve  # noqa: PLC0415 - as above
    from aether.cli.settings import load_settings  # noqa: PLC0415 - pydantic is slow to import

    settings = load_settings(data_dir=data_dir, log_level=log_level)

    async def live(stop: asyncio.Event, _hurry: asyncio.Event) -> None:
        await run_controller(settings, stop, wait=wait_for_stores)

    return serve(settings, "controller", live)
