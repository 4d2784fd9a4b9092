"""What every keeper of function logs does: `aether.ports.function_logs`."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.adapters.memory.function_logs import MemoryFunctionLogs, cost_bytes
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.function_logs import RedisFunctionLogs
from aether.ports.function_logs import LogRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_record(number=0, function_id="fn-1", text=None, call_id=None):
    at = NOW + timedelta(seconds=number)
    return LogRecord(function_id, "inst-1", "stdout", f"line {number}" if text is None else text, at, call_id)


class FunctionLogsContract:
    @pytest.fixture
    async def logs(self):
        raise NotImplementedError

    async def test_function_that_printed_nothing_has_no_lines(self, logs):
        assert await logs.tail("fn-1", 10) == []

    async def test_tail_has_the_newest_lines_oldest_first(self, logs):
        for number in range(5):
            logs.append(a_record(number))
        assert await logs.tail("fn-1", 3) == [a_record(2), a_record(3), a_record(4)]
        assert await logs.tail("fn-1", 99) == [a_record(number) for number in range(5)]
        assert await logs.tail("fn-1", 0) == []

    async def test_functions_are_kept_apart(self, logs):
        logs.append(a_record(1, "fn-1"))
        logs.append(a_record(2, "fn-2"))
        assert await logs.tail("fn-1", 10) == [a_record(1, "fn-1")]

    async def test_tail_since_a_time(self, logs):
        for number in range(5):
            logs.append(a_record(number))
        assert await logs.tail("fn-1", 10, since=NOW + timedelta(seconds=3)) == [a_record(3), a_record(4)]
        assert await logs.tail("fn-1", 1, since=NOW + timedelta(seconds=3)) == [a_record(4)]
        assert await logs.tail("fn-1", 10, since=NOW + timedelta(seconds=9)) == []

    async def test_tail_of_one_call(self, logs):
        for number in range(6):
            logs.append(a_record(number, call_id=f"call-{number % 2}"))
        mine = [a_record(number, call_id="call-1") for number in (1, 3, 5)]
        assert await logs.tail("fn-1", 10, call_id="call-1") == mine
        assert await logs.tail("fn-1", 2, call_id="call-1") == mine[1:]
        assert await logs.tail("fn-1", 10, since=mine[2].at, call_id="call-1") == mine[2:]

    async def test_follow_has_lines_from_the_call_on(self, logs):
        logs.append(a_record(0))
        async with aclosing(logs.follow("fn-1")) as lines:
            logs.append(a_record(1))
            logs.append(a_record(2, "fn-2"))
            logs.append(a_record(3))
            assert [await anext(lines), await anext(lines)] == [a_record(1), a_record(3)]

    async def test_followers_each_get_every_line(self, logs):
        async with aclosing(logs.follow("fn-1")) as one, aclosing(logs.follow("fn-1")) as two:
            logs.append(a_record(1))
            assert await anext(one) == await anext(two) == a_record(1)

    async def test_cancelled_follower_loses_no_line(self, logs):
        async with aclosing(logs.follow("fn-1")) as lines:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(lines)
            logs.append(a_record(1))
            assert await anext(lines) == a_record(1)

    async def test_closing_ends_a_waiting_follower(self, logs):
        lines = logs.follow("fn-1")
        waiting = asyncio.ensure_future(anext(lines, "ended"))
        await asyncio.sleep(0)
        await lines.aclose()
        assert await waiting == "ended"

    async def test_removed_lines_are_gone_and_new_ones_are_kept(self, logs):
        logs.append(a_record(1))
        await logs.remove("fn-1")
        await logs.remove("fn-1")
        assert await logs.tail("fn-1", 10) == []
        logs.append(a_record(2))
        assert await logs.tail("fn-1", 10) == [a_record(2)]

    async def test_line_that_can_not_be_kept_is_dropped_and_counted(self, logs):
        logs.append(a_record(1))
        logs.append(a_record(2, text="x" * (2 << 20)))
        assert await logs.tail("fn-1", 9) == [a_record(1)]
        assert logs.dropped == 1

    async def test_any_text_is_kept(self, logs):
        texts = ["", "grüß dich", "\x1b[31mred", "half a pair \ud800", "x" * 10_000]
        for text in texts:
            logs.append(a_record(text=text))
        assert [record.text for record in await logs.tail("fn-1", 10)] == texts


class TestRedisFunctionLogs(FunctionLogsContract):
    @pytest.fixture
    async def logs(self, redis_server):
        async with aclosing(RedisClients.open(redis_server.url)) as clients:
            await clients.commands.flushall()
            async with aclosing(RedisFunctionLogs(clients)) as logs:
                yield logs


class TestMemoryFunctionLogs(FunctionLogsContract):
    @pytest.fixture
    async def logs(self):
        return MemoryFunctionLogs()

    async def test_lines_of_a_function_are_bounded_in_number(self):
        logs = MemoryFunctionLogs(max_lines=3)
        for number in range(10):
            logs.append(a_record(number))
        assert await logs.tail("fn-1", 99) == [a_record(7), a_record(8), a_record(9)]
        assert logs.dropped == 0

    async def test_lines_of_a_function_are_bounded_in_bytes(self):
        logs = MemoryFunctionLogs(max_bytes=5 * cost_bytes(a_record()))
        for number in range(10):
            logs.append(a_record(number))
        assert await logs.tail("fn-1", 99) == [a_record(number) for number in range(5, 10)]

    async def test_full_memory_forgets_who_printed_longest_ago(self):
        logs = MemoryFunctionLogs(total_bytes=4 * cost_bytes(a_record()))
        for number, function_id in enumerate(("fn-a", "fn-b", "fn-b", "fn-a", "fn-c")):
            logs.append(a_record(number, function_id))
        kept = [len(await logs.tail(function_id, 9)) for function_id in ("fn-a", "fn-b", "fn-c")]
        assert kept == [2, 1, 1]

    async def test_slow_follower_loses_the_oldest_and_it_is_counted(self):
        logs = MemoryFunctionLogs(follow_buffer=2)
        async with aclosing(logs.follow("fn-1")) as lines:
            for number in range(5):
                logs.append(a_record(number))
            assert [await anext(lines), await anext(lines)] == [a_record(3), a_record(4)]
        assert logs.dropped == 3

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1500), st.booleans())))
    @settings(max_examples=100, deadline=None)
    def test_bounds_hold_whatever_is_printed(self, steps):
        logs = MemoryFunctionLogs(max_lines=4, max_bytes=3_000, total_bytes=5_000)

        async def print_all():
            for number, (which, length, removed) in enumerate(steps):
                if removed:
                    await logs.remove(f"fn-{which}")
                logs.append(a_record(number, f"fn-{which}", "x" * length))
                kept = [await logs.tail(f"fn-{number}", 99) for number in range(4)]
                sizes = [sum(cost_bytes(record) for record in records) for records in kept]
                assert max(len(records) for records in kept) <= 4
                assert max(sizes) <= 3_000
                assert sum(sizes) == logs.held_bytes <= 5_000
                assert kept[which][-1].at == a_record(number).at

        asyncio.run(print_all())
