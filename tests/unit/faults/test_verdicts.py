"""The load client notices whatever a bad server does to it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
from tests.faults.load import Cause, Kill, Verdict, judge
from tests.faults.load.connection import Seen
from tests.faults.load.request import requests
from tests.unit.faults.conftest import DEADLINE_S, well

DURING = "during"


def error_body(asked, code: str, call_id: str | None = None) -> bytes:
    error = {"code": code, "message": "inst-1 ran out of memory", "component": "worker"}
    return json.dumps({"error": {**error, "call_id": call_id or asked.call_id}}).encode()


def failing(status: int, code: str, *fields: str, call_id: str | None = None):
    async def answer(asked, writer):
        body = error_body(asked, code, call_id)
        writer.write(asked.head(len(body), status, *fields) + body)

    return answer


async def test_whole_answers_are_answered(client, ledger, server):
    client.phase = DURING
    await client.closed_loop(3, 0.2)
    await client.burst(8)
    sums = ledger.sums()
    assert sums.sent == sums.answered == len(server.asked) > 8
    assert (sums.lost, sums.wrong, sums.platform_errors) == (0, 0, 0)
    assert sums.p99_before_ms is None
    assert sums.p99_during_ms > 0
    ledger.compare(asked.path[1:].partition("?")[0] for asked in server.asked)
    assert ledger.sums().wrong == 0


async def test_half_of_the_requests_have_bodies_and_half_a_call_id(client, server):
    for _ in range(16):
        await client.once()
    assert {a.method for a in server.asked} == {"GET", "POST"}
    assert {len(a.body) for a in server.asked if a.method == "POST"} == {0, 64, 2_000, 20_000}
    assert sum("x-call-id" in dict(a.headers) for a in server.asked) == 8


async def closes(asked, writer):
    writer.close()


async def resets(asked, writer):
    writer.transport.abort()


async def cut_by_length(asked, writer):
    body = asked.echo()
    writer.write(asked.head(len(body)) + body[:-1])
    writer.close()


async def cut_by_chunks(asked, writer):
    body = asked.echo()
    head = asked.head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    writer.write(head + b"%x\r\n%b\r\n" % (len(body), body))
    writer.close()


async def silent(asked, writer):
    await asyncio.sleep(60)


async def other_status(asked, writer):
    body = b"Bad Gateway"
    writer.write(asked.head(len(body), 502) + body)


@pytest.mark.parametrize("answer", [closes, resets, cut_by_length, cut_by_chunks, other_status])
async def test_no_whole_answer_is_lost(client, ledger, server, answer):
    server.answer = answer
    judged = await client.once()
    assert judged.verdict is Verdict.LOST, judged
    sums = ledger.sums()
    assert (sums.sent, sums.answered, sums.lost, sums.wrong) == (1, 0, 1, 0)


async def test_silence_is_lost_and_not_waited_for_forever(client, server, ledger):
    server.answer = silent
    began_s = time.monotonic()
    assert (await client.once()).verdict is Verdict.LOST
    assert time.monotonic() - began_s < DEADLINE_S + 3
    assert ledger.sums().lost == 1


async def test_an_answer_after_the_deadline_is_lost(client):
    judged = await client.once()
    late = replace(judged.seen, ended_s=judged.seen.sent_s + DEADLINE_S + 1.1)
    assert judge(judged.request, late, DEADLINE_S).verdict is Verdict.LOST


async def swapped(asked, writer):
    other = asked.before[-1] if asked.before else asked
    body = other.echo()
    writer.write(asked.head(len(body)) + body)


async def swapped_call_id(asked, writer):
    body = asked.echo()
    writer.write(asked.head(len(body)).replace(asked.call_id.encode(), b"call-of-another") + body)


async def without_call_id(asked, writer):
    body = asked.echo()
    writer.write(asked.head(len(body)).replace(b"X-Call-Id", b"X-Other") + body)


async def cut_without_a_sign(asked, writer):
    body = asked.echo()[:-10]
    writer.write(asked.head(len(body)) + body)


async def cut_request(asked, writer):
    body = replace(asked, body=asked.body[:-1]).echo()
    writer.write(asked.head(len(body)) + body)


async def twice(asked, writer):
    body = asked.echo()
    writer.write((asked.head(len(body)) + body) * 2)


@pytest.mark.parametrize(
    "answer", [swapped, swapped_call_id, without_call_id, cut_without_a_sign, cut_request, twice]
)
async def test_what_is_not_the_own_answer_is_wrong_and_lost(client, ledger, server, answer):
    await client.once()
    server.answer = answer
    assert (await client.once()).verdict is Verdict.WRONG
    sums = ledger.sums()
    assert (sums.sent, sums.answered, sums.lost, sums.wrong) == (2, 1, 1, 1)


async def test_a_second_answer_that_comes_later_is_wrong(client, ledger, server):
    judged = await client.once()
    server.writers[0].write(b"HTTP/1.1 200 OK\r\n\r\n")
    await server.writers[0].drain()
    while not client._idle[0].unasked:
        await asyncio.sleep(0.01)
    client.close()
    assert judged.verdict is Verdict.ANSWERED
    assert ledger.sums().wrong == 1


async def test_an_error_with_a_cause_is_a_platform_error(client, ledger, server):
    server.answer = failing(502, "instance_failed")
    ledger.causes.append(Cause("instance_failed", at_most=2, says="ran out of memory"))
    client.phase = DURING
    for _ in range(3):
        await client.once()
    sums = ledger.sums()
    assert (sums.sent, sums.platform_errors, sums.lost) == (3, 2, 1)
    assert sums.errors == {"instance_failed": 2}
    assert "without a cause" in next(iter(sums.reasons))


async def test_a_cause_may_hold_whatever_the_phase(client, ledger, server):
    server.answer = failing(502, "instance_failed")
    ledger.causes.append(Cause("instance_failed", 2, phase=""))
    await client.once()
    client.phase = DURING
    await client.once()
    assert ledger.sums().platform_errors == 2


@pytest.mark.parametrize(
    "cause",
    [
        Cause("no_capacity", 9),
        Cause("instance_failed", 9, says="exited"),
        Cause("instance_failed", 9, until_s=0.0),
        Cause("instance_failed", 9, since_s=1e12),
        Cause("instance_failed", 9, phase="after"),
    ],
)
async def test_an_error_with_no_such_cause_is_lost(client, ledger, server, cause):
    server.answer = failing(502, "instance_failed")
    ledger.causes.append(cause)
    client.phase = DURING
    await client.once()
    assert ledger.sums().lost == 1


@pytest.mark.parametrize(
    "answer",
    [
        failing(500, "instance_failed"),
        failing(502, "internal"),
        failing(502, "instance_failed", call_id="call-of-another"),
        failing(429, "over_limit"),
        failing(503, "queue_full", "Retry-After: soon"),
        failing(200, "instance_failed"),
    ],
)
async def test_an_error_not_in_the_contracts_form_is_lost(client, ledger, server, answer):
    server.answer = answer
    ledger.causes += [Cause(code, 9) for code in ("instance_failed", "internal", "over_limit", "queue_full")]
    client.phase = DURING
    await client.once()
    assert ledger.sums().lost == 1


async def test_only_the_tables_statuses_with_retry_after_pass(client, ledger, server):
    server.answer = failing(429, "over_limit", "Retry-After: 1")
    ledger.causes.append(Cause("over_limit", 1))
    client.phase = DURING
    await client.once()
    assert ledger.sums().platform_errors == 1


async def test_a_post_that_functions_got_twice_is_wrong_and_a_get_is_not(client, ledger, server):
    get, post = [await client.once() for _ in range(2)]
    ledger.compare([get.request.token, get.request.token, post.request.token, post.request.token])
    sums = ledger.sums()
    assert (sums.answered, sums.lost, sums.wrong) == (2, 0, 1)


async def test_an_answer_that_no_function_gave_is_wrong(client, ledger):
    await client.once()
    ledger.compare([])
    assert ledger.sums().wrong == 1


async def test_what_nobody_sent_is_wrong(ledger):
    ledger.compare(["test-0-made-up"])
    assert ledger.sums().wrong == 1


@pytest.mark.parametrize("answer", [closes, cut_by_length, failing(502, "instance_failed")])
async def test_what_ran_in_a_killed_process_is_counted_apart(client, ledger, server, answer):
    server.answer = answer
    judged = await client.once()
    ledger.kills.append(Kill(judged.seen.sent_s, judged.seen.sent_s))
    assert (ledger.sums().sent, ledger.sums().cut, ledger.sums().lost) == (0, 1, 0)
    await client.once()
    assert (ledger.sums().sent, ledger.sums().cut, ledger.sums().lost) == (1, 1, 1)


@pytest.mark.parametrize("answer", [swapped, failing(429, "over_limit", "Retry-After: 1")])
async def test_a_kill_is_no_cause_of_other_failures(client, ledger, server, answer):
    await client.once()
    server.answer = answer
    judged = await client.once()
    ledger.kills.append(Kill(judged.seen.sent_s, judged.seen.ended_s))
    assert (ledger.sums().cut, ledger.sums().lost) == (0, 1)


async def of_front_proxy(asked, writer):
    body = b"<html><body><h1>502 Bad Gateway</h1>"
    writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def test_an_error_of_a_proxy_in_front_is_lost(client, ledger, server):
    server.answer = of_front_proxy
    assert (await client.once()).verdict is Verdict.LOST


async def test_no_connection_is_lost_unless_the_platform_was_away(client, ledger, server):
    server.answer = well
    client.target = replace(client.target, port=1)
    judged = await client.once()
    assert (ledger.sums().sent, ledger.sums().lost) == (1, 1)
    ledger.away.append((judged.seen.ended_s - 1, judged.seen.ended_s + 1))
    assert (ledger.sums().sent, ledger.sums().lost, ledger.sums().refused) == (0, 0, 1)


def test_tokens_are_their_own():
    made = requests("test")
    assert len({next(made).token for _ in range(1000)}) == 1000


def test_times_count_from_when_a_request_was_due():
    made = next(requests("test"))
    seen = Seen(due_s=1.0, sent_s=3.0, ended_s=4.0, whole=True, status=200, headers={"x-call-id": made.token})
    assert judge(made, seen, DEADLINE_S).took_ms == 3000
