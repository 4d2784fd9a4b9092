"""`aether worker`: a worker on a host of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from cyclopts import App

from aether.cli.commands.workers import drain, workers
from aether.cli.options import PLAIN

worker = App(name="worker", default_parameter=PLAIN)
worker.command(workers, name="list")
worker.command(drain)


@worker.default
def run(
    *,
    wait_for_stores: bool = False,
    data_dir: Path | None = None,
    log_level: Literal["debug", "info", "warning", "error"] | None = None,
) -> int:
    """Run a worker: it starts microVMs for the gateways that share its stores.

    Gateways must reach it at WORKER_IP. It shares etcd (ETCD_ENDPOINTS), Redis (REDIS_ADDR) and a store
    for code (MINIO_ENDPOINT) with them. It runs until Ctrl-C or SIGTERM, which leave its microVMs to its next
    start on the same data directory: no request is lost. To end them too, drain it: aether worker drain ID.

    **Examples**

    ```
    WORKER_IP=10.0.0.7 aether worker
    aether worker --wait-for-stores
    ```

    Parameters
    ----------
    wait_for_stores
        Try stores that can't be reached again until they are there, instead of ending.
    data_dir
        Where its code and its name are kept. Default: ~/.local/share/aether
    log_level
        Least severe message that is written to stderr. Default: info
    """
    from aether.cli.roles.machines import load_machines  # noqa: PLC0415 - imports the platform
    from aether.cli.roles.serving import serve  # noqa: PLC0415 - as above
    from aether.cli.roles.worker_role import WorkerRole  # noqa: PLC0415 - as above
    from aether.cli.settings import load_settings  # noqa: PLC0415 - pydantic is slow to import

    settings = load_settings(data_dir=data_dir, log_level=log_level)

    async def live(stop: asyncio.Event, hurry: asyncio.Event) -> None:
        machines = load_machines(settings, embedded=False)
        await WorkerRole(settings, machines).run(stop, hurry, wait=wait_for_stores)

    return serve(settings, "worker", live, alone=False)
