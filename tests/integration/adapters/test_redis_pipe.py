"""One connection for many callers: whose answer is whose, whatever breaks or is given up."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import RedisError, ResponseError

from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.scripted import Scripts


@pytest.fixture
async def clients(redis_server):
    clients = RedisClients.open(redis_server.url)
    await clients.commands.flushall()
    yield clients
    await clients.aclose()


async def test_each_caller_gets_its_own_answer(clients):
    pipe = clients.pipe
    answers = await asyncio.gather(*(pipe.call("ECHO", f"{n}") for n in range(500)))
    assert answers == [b"%d" % n for n in range(500)]


async def test_a_refusal_is_its_callers_alone(clients):
    await clients.pipe.call("SET", "text", "a")
    results = await asyncio.gather(
        clients.pipe.call("GET", "text"),
        clients.pipe.call("LPUSH", "text", "b"),
        clients.pipe.call("GET", "text"),
        return_exceptions=True,
    )
    assert results[0] == results[2] == b"a"
    assert isinstance(results[1], ResponseError)


async def test_one_that_is_given_up_leaves_the_others_their_answers(clients):
    pipe = clients.pipe
    await pipe.call("PING")
    given_up = asyncio.ensure_future(pipe.call("ECHO", "no"))
    kept = asyncio.ensure_future(pipe.call("ECHO", "yes"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await kept == b"yes"


async def test_a_cut_is_told_to_all_who_wait_and_the_next_call_connects_again(clients):
    pipe = clients.another_pipe()
    number = await pipe.call("CLIENT", "ID")
    waiting = [asyncio.ensure_future(pipe.call("BLPOP", "nothing", 0)) for _ in range(3)]
    await asyncio.sleep(0)
    await clients.pipe.call("CLIENT", "KILL", "ID", number)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, RedisError | OSError)
    assert await pipe.call("PING") == b"PONG"
    await pipe.aclose()


async def test_closing_ends_who_waits(clients):
    pipe = clients.another_pipe()
    waiting = asyncio.ensure_future(pipe.call("BLPOP", "nothing", 0))
    while not (await clients.pipe.call("INFO", "clients")).count(b"blocked_clients:1"):
        pass
    await pipe.aclose()
    with pytest.raises(RedisError):
        await waiting


async def test_scripts_are_told_again_to_a_redis_that_forgot_them(clients):
    scripts = Scripts(clients)
    assert await scripts.run("depth", [], [1]) == 0
    await clients.pipe.call("SCRIPT", "FLUSH")
    assert await scripts.run("depth", [], [1]) == 0
