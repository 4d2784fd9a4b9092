"""From inside a machine: no way to the host, to another machine, or to its metadata."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace

import pytest
from tests.contract.vmm_contract import within
from tests.integration.vmm.test_restore import METADATA, evaluate

from aether.ports.vmm import MachineSpec, ignore_log
from aether.vmm.qemu import QemuVmm

pytestmark = pytest.mark.vm

CONNECT = """
const net = require("net");
const attempts = TARGETS.map(([host, port]) => new Promise((resolve) => {
  const socket = net.connect({host, port, timeout: 2500});
  const tell = (outcome) => { socket.destroy(); resolve([host, port, outcome]); };
  socket.on("connect", () => tell("connected"));
  socket.on("timeout", () => tell("timeout"));
  socket.on("error", (error) => tell(error.code));
}));
return Promise.all(attempts);
"""
RESOLVE = """
const dns = require("dns").promises;
const answers = [];
for (const server of ["169.254.0.1", "169.254.0.3", "10.0.2.3", "8.8.8.8"]) {
  const resolver = new dns.Resolver({timeout: 700, tries: 1});
  resolver.setServers([server]);
  answers.push(await resolver.resolve4("example.com").then(() => "resolved", (error) => error.code));
}
return answers;
"""
SEND_UDP = """
const socket = require("dgram").createSocket("udp4");
for (const [host, port] of TARGETS) await new Promise((resolve) => socket.send("out", port, host, resolve));
socket.close();
return "sent";
"""


def host_addresses() -> list[str]:
    """Every IPv4 address of this host that a machine might try."""
    found = {"127.0.0.1", "127.0.0.2"}
    for family, _, _, _, address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET):
        if family is socket.AF_INET:
            found.add(str(address[0]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only picks the address of the way out
            found.add(probe.getsockname()[0])
        except OSError:
            pass
    return sorted(found)


async def test_a_machine_reaches_nothing_but_itself(vmm: QemuVmm, spec: MachineSpec) -> None:
    one = await vmm.boot(replace(spec, env={"SECRET": "one"}), within(60), ignore_log)
    other_spec = replace(spec, instance_id="inst-2", env={"SECRET": "two"})
    two = await vmm.boot(other_spec, within(60), ignore_log)

    accepted: list[object] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("0.0.0.0", 0))
        datagrams.setblocking(False)
        server = await asyncio.start_server(lambda *streams: accepted.append(streams), "0.0.0.0", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            hosts = ["169.254.0.1", "169.254.0.3", "169.254.0.4", "10.0.2.2", "10.0.2.3", *host_addresses()]
            targets = [[host, number] for host in hosts for number in (port, two.address[1])]
            # The control of the experiment: the same code does connect where it may.
            targets.append(["169.254.169.254", 80])
            tried = await evaluate(one, CONNECT.replace("TARGETS", json.dumps(targets)))
            assert isinstance(tried, list)
            reached = [f"{host}:{number}" for host, number, outcome in tried if outcome == "connected"]
            assert reached == ["169.254.169.254:80"]
            assert accepted == []

            udp = [[host, datagrams.getsockname()[1]] for host in hosts]
            assert await evaluate(one, SEND_UDP.replace("TARGETS", json.dumps(udp))) == "sent"
            # The answer to the call came after the datagrams, over the same virtual network.
            with pytest.raises(BlockingIOError):
                datagrams.recv(100)

    assert "resolved" not in str(await evaluate(one, RESOLVE))
    for machine, secret in ((one, "one"), (two, "two")):
        metadata = await evaluate(machine, METADATA)
        assert isinstance(metadata, dict)
        assert metadata["env"] == {"SECRET": secret}
        assert metadata["instance_id"] == machine.spec.instance_id
