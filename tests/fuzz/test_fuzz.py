"""Fuzzing, for a moment in every run and for a minute in the slow suite."""

import time
from random import Random

import pytest
from tests.fuzz.parsers import check_once
from tests.fuzz.relay import fuzz


def test_messages_are_read_alike_however_they_are_split():
    random = Random(1)
    for _ in range(3000):
        check_once(random)


@pytest.mark.parametrize("hops", [1, 2])
async def test_a_relay_between_two_that_send_nonsense(hops):
    problems, tried = await fuzz(2, seed=1, hops=hops)
    assert problems == []
    assert tried


@pytest.mark.slow
@pytest.mark.parametrize("hops", [1, 2])
async def test_a_relay_between_two_that_send_nonsense_for_a_minute(hops):
    problems, tried = await fuzz(30, seed=int(time.time()), hops=hops)
    assert problems == []
    assert tried > 200
