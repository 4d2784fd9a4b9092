"""Leaders that die, are cut off, or are stopped: what only an engine and processes of one's own can show."""

import asyncio
import signal
import sys
from contextlib import aclosing

import pytest
from tests.proxies import network

from aether.adapters.etcd.answers import text
from aether.adapters.etcd.election import EtcdElection
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.term import now_s
from aether.ports.election import KEY

TTL_S = 1
WITHIN_S = TTL_S + 2
"""etcd looks for leases that have run out every half second."""

LEAD = """
import asyncio, sys
from aether.adapters.etcd.election import EtcdElection
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.term import now_s

async def main():
    term = await EtcdElection(JsonGateway([sys.argv[1]]), ttl_s=1).elected("other")
    while term.holds:
        print("acts", now_s(), flush=True)
        await asyncio.sleep(0.01)
    print("over", flush=True)
    await term.resign()

asyncio.run(main())
"""


@pytest.fixture
async def gateway(etcd_server):
    async with aclosing(JsonGateway([etcd_server.url])) as gateway:
        await gateway.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
        yield gateway


@pytest.fixture
async def election(gateway):
    async with aclosing(EtcdElection(gateway, ttl_s=TTL_S)) as election:
        yield election


@pytest.fixture
async def other(etcd_server, gateway):
    """A leader in a process of its own, which says when it acts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEAD, etcd_server.url, stdout=asyncio.subprocess.PIPE
    )
    await process.stdout.readline()
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_term_outlasts_its_lease_as_long_as_it_is_prolonged(election):
    term = await election.elected("one")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * TTL_S):
            await term.over()
    assert term.holds


async def test_killed_leader_has_a_successor_within_the_lease(election, other):
    other.kill()
    async with asyncio.timeout(WITHIN_S):
        term = await election.elected("one")
    assert term.holds


async def test_stopped_leader_acts_no_more_when_it_goes_on(election, other):
    first = await other.stdout.readline()
    other.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(WITHIN_S):
        term = await election.elected("one")
    began_s = now_s()
    other.send_signal(signal.SIGCONT)
    *lines, last = (await other.stdout.read()).splitlines()
    assert last == b"over"
    acts = [float(line.split()[1]) for line in [first, *lines] if line.startswith(b"acts")]
    assert max(acts) < began_s
    assert term.holds
    assert await election.leader() == "one"


async def test_leader_that_is_cut_off_knows_before_another_begins(etcd_server, election):
    async with (
        network(etcd_server.port) as net,
        aclosing(JsonGateway([f"http://127.0.0.1:{net.port}"])) as far,
    ):
        cut_off = await EtcdElection(far, ttl_s=TTL_S).elected("cut off")
        waiting = asyncio.ensure_future(election.elected("one"))
        net.flows.clear()
        over = asyncio.ensure_future(cut_off.over())
        async with asyncio.timeout(WITHIN_S):
            done, _ = await asyncio.wait({over, waiting}, return_when=asyncio.FIRST_COMPLETED)
            assert done == {over}
            assert not cut_off.holds
            await waiting
        net.flows.set()
        await cut_off.resign()
        assert await election.leader() == "one"


async def test_nobody_leads_while_etcd_is_away_and_one_does_again_when_it_is_back(etcd_server, election):
    term = await election.elected("one")
    etcd_server.pause()
    try:
        async with asyncio.timeout(WITHIN_S):
            await term.over()
        again = asyncio.ensure_future(election.elected("one"))
    finally:
        etcd_server.resume()
    await term.resign()
    async with asyncio.timeout(10):
        assert (await again).holds


async def test_leader_steps_back_when_etcd_has_forgotten_it(gateway, election):
    term = await election.elected("one")
    await gateway.call("kv/deleterange", {"key": text(KEY)})
    second = await election.elected("two")
    assert second.fence.value != term.fence.value
    assert await election.leader() == "two"
    await term.resign()
    assert await election.leader() == "two"


async def test_what_was_put_there_without_a_lease_keeps_nobody_out(gateway, election):
    await gateway.call("kv/put", {"key": text(KEY), "value": text("garbage")})
    assert await election.leader() is None
    assert (await election.elected("one")).holds
    assert await election.leader() == "one"


async def test_what_is_no_name_under_a_lease_is_waited_for(gateway, election):
    lease = (await gateway.call("lease/grant", {"TTL": "60"}))["ID"]
    await gateway.call("kv/put", {"key": text(KEY), "value": text("[1]"), "lease": lease})
    assert await election.leader() is None
    waiting = asyncio.ensure_future(election.elected("one"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.shield(waiting)
    await gateway.call("lease/revoke", {"ID": lease})
    assert (await waiting).holds
