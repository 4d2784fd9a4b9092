"""A whole cluster: stores, gateways behind haproxy, and workers on hosts of their own."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.api import Api, until
from tests.cluster import haproxy
from tests.cluster.host import Host, only_child
from tests.cluster.network import Network
from tests.cluster.process import Process
from tests.cluster.run import Run, new_run
from tests.cluster.stores import Stores

AETHER = (sys.executable, "-m", "aether.cli")
REPOSITORY = Path(__file__).parents[2]
GATEWAY_PORT = 8080
UP = " is up"
"""What a worker says then: its record may be there still of the process before."""
UP_WITHIN_S = 60.0
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PASSED_ON = ("PATH", "HOME", "LANG", "AETHER_CACHE_DIR", "XDG_CACHE_HOME")


@dataclass(frozen=True)
class Plan:
    """What a cluster is to have."""

    gateways: int = 2
    workers: int = 3
    vmm: str = "qemu"
    front: str = ""
    """An address with a port for haproxy to listen on, beside the one on the bridge."""
    worker: Sequence[str] = (*AETHER, "worker")
    """What a worker's host runs."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """More of all roles, by their names in the environment."""


class Cluster:
    """`running` makes one. Its processes can be stopped, killed and started one by one."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.plan = plan
        self.directory = run.directory
        self.network = Network(run.name)
        self.journal = run.directory / "journal"
        """What functions get, where workers are told to write that down."""
        self.key = secrets.token_hex(16)
        self.stores = Stores(run.directory / "stores", self.network.stores)
        self._settings = {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "PATH": PATH,
            "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}",
            "JOURNAL": str(self.journal),
            **self.stores.environment,
            "AETHER_API_KEY": self.key,
            "AETHER_CLUSTER_KEY": secrets.token_hex(16),
            "AETHER_VMM": plan.vmm,
            **plan.settings,
        }
        self.gateways = [self._gateway(number) for number in range(1, plan.gateways + 1)]
        self.hosts = [Host(self.network, number) for number in range(1, plan.workers + 1)]
        self.workers = [self._worker(host) for host in self.hosts]
        self.front = self._front()
        self.front_address = f"{self.network.stores}:{GATEWAY_PORT}"
        self.front_api = Api(f"http://{self.front_address}", self.key)
        self.api = [Api(f"http://{address}", self.key) for address in self._gateway_addresses()]

    @property
    def processes(self) -> list[Process]:
        """Of ours and haproxy; as they are to be stopped."""
        return [self.front, *self.gateways, *self.workers]

    async def start(self) -> None:
        """Returns when all of it is up. Raises RuntimeError or AssertionError."""
        for host in self.hosts:
            host.start()
        await self.stores.start()
        await self.start_roles()

    async def start_roles(self) -> None:
        """Those that don't run. Returns when all of it is up."""
        for process in self.processes:
            if not process.runs:
                process.start()
        await until(self.is_up, UP_WITHIN_S, f"all is up (logs are in {self.directory})")

    async def is_up(self) -> bool:
        """Every gateway gets traffic, and knows every worker. Raises RuntimeError when one has ended."""
        for process in self.processes:
            if not process.runs:
                raise RuntimeError(f"{process.name} has ended:\n{process.last_lines()}")
        if not all(UP in worker.log() for worker in self.workers):
            return False
        if not all([await self.takes_traffic(api) and await self._knows_all(api) for api in self.api]):
            return False
        # It asks them only so often.
        return haproxy.uses_all(self._front_configuration)

    async def takes_traffic(self, api: Api) -> bool:
        with suppress(httpx.TransportError):
            return (await api.http.get("/readyz")).is_success
        return False

    async def _knows_all(self, api: Api) -> bool:
        """Every worker that is there, and none that isn't."""
        with suppress(httpx.TransportError):
            known = await api.http.get("/api/workers")
            return known.is_success and {w["id"] for w in known.json()} == {w.name for w in self.workers}
        return False

    async def stop(self) -> list[str]:
        """Everything ends, orderly as far as it can; what did not end well."""
        problems = []
        for process in [p for p in self.processes if p.runs]:
            try:
                code = await process.stop()
            except RuntimeError as error:
                problems.append(str(error))
            else:
                if code and process is not self.front:
                    problems.append(f"{process.name} ended with {code}")
        return problems

    def end(self) -> None:
        """At once, whatever still runs."""
        for host in self.hosts:
            host.stop()
        for process in self.processes:
            process.end()
        self.stores.stop()

    def requests(self) -> dict[str, int]:
        """How many haproxy has sent to each gateway so far."""
        return haproxy.requests(self._front_configuration)

    def command(self, *words: str) -> tuple[list[str], dict[str, str]]:
        """One of our commands as an operator calls it, and its environment."""
        environment = {**self._settings, "AETHER_URL": f"http://{self.front_address}", "AETHER_KEY": self.key}
        return [*AETHER, *words], environment

    async def aether(self, *words: str) -> str:
        """What one of our commands prints. Raises AssertionError when it fails."""
        command, environment = self.command(*words)
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=self.directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert process.returncode == 0, f"aether {' '.join(words)}: {process.returncode}\n{errors.decode()}"
        return out.decode()

    def _gateway_addresses(self) -> list[str]:
        return [f"{gateway.environment['AETHER_HOST']}:{GATEWAY_PORT}" for gateway in self.gateways]

    def _gateway(self, number: int) -> Process:
        environment = self._settings | {
            "AETHER_DEBUG": "1",
            "AETHER_DATA_DIR": str(self._data_dir(f"gateway-{number}")),
            "AETHER_HOST": self.network.gateway(number),
            "PORT": str(GATEWAY_PORT),
            "AETHER_TRUSTED_PROXIES": str(self.network.subnet),
        }
        command = [*AETHER, "gateway", "--with-controller"]
        return self._process(f"gateway-{number}", command, environment)

    def _worker(self, host: Host) -> Process:
        environment = self._settings | {
            "AETHER_DEBUG": "1",
            "AETHER_DATA_DIR": str(self._data_dir(host.name)),
            "AETHER_WORKER_ID": host.name,
            "WORKER_IP": host.address,
        }
        return self._process(host.name, self.plan.worker, environment, host)

    @property
    def _front_configuration(self) -> Path:
        return self.directory / "haproxy.cfg"

    def _front(self) -> Process:
        configuration = self._front_configuration
        listen = [f"{self.network.stores}:{GATEWAY_PORT}", *filter(None, [self.plan.front])]
        haproxy.write_configuration(configuration, listen, self._gateway_addresses())
        return self._process("haproxy", haproxy.command(configuration), {"PATH": PATH})

    def _process(
        self, name: str, command: Sequence[str], environment: dict[str, str], host: Host | None = None
    ) -> Process:
        placed = {"inside": host.inside, "found": only_child} if host else {}
        log = self.directory / f"{name}.log"
        return Process(name, command, log, environment=environment, directory=self.directory, **placed)

    def _data_dir(self, name: str) -> Path:
        directory = self.directory / name
        directory.mkdir()
        return directory


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Cluster]:
    """A cluster that is up, and gone in the end. Raises RuntimeError when it doesn't end well."""
    with new_run() as run:
        cluster = Cluster(run, plan)
        try:
            await cluster.start()
            yield cluster
            problems = await cluster.stop()
            if problems:
                raise RuntimeError("; ".join(problems))
        finally:
            for api in (cluster.front_api, *cluster.api):
                await api.http.aclose()
            cluster.end()
