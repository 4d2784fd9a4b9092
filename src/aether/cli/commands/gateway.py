"""`aether gateway`: a gateway on a host of its own, over stores that all share."""

from __future__ import annotations

import asyncio

from aether.cli.up_options import NOTHING_GIVEN, UpOptions


def gateway(
    *,
    options: UpOptions = NOTHING_GIVEN,
    with_controller: bool = False,
    wait_for_stores: bool = False,
    processes: int | None = None,
) -> int:
    """Run a gateway: it takes requests, starts instances on workers, and serves the API.

    Any number of them share etcd (ETCD_ENDPOINTS), Redis (REDIS_ADDR), a store for code (MINIO_ENDPOINT)
    and a database (AETHER_DATABASE_URL). It runs until Ctrl-C or SIGTERM, which let running requests end
    first; a second one doesn't wait.

    **Examples**

    ```
    aether gateway --with-controller
    aether gateway --host 0.0.0.0 --port 8080 --wait-for-stores --processes 4
    ```

    Parameters
    ----------
    with_controller
        Let it scale functions as well, while it is the elected one of those that may.
    wait_for_stores
        Try stores that can't be reached again until they are there, instead of ending.
    processes
        So many processes on the one port, up to one a processor. Default: 1
    """
    from aether.cli.roles.gateway_role import GatewayRole  # noqa: PLC0415 - imports the platform
    from aether.cli.roles.serving import serve  # noqa: PLC0415 - as above

    settings = options.settings(processes=processes)
    if settings.processes > 1:
        from aether.cli.roles.gateway_processes import serve_in_processes  # noqa: PLC0415 - as above

        return serve_in_processes(settings, with_controller=with_controller, wait=wait_for_stores)

    async def live(stop: asyncio.Event, hurry: asyncio.Event) -> None:
        role = GatewayRole(settings, with_controller=with_controller)
        await role.run(stop, hurry, wait=wait_for_stores)

    return serve(settings, "gateway", live)
