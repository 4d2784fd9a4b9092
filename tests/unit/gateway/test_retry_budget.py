"""A tenth of the requests, and a few where there are hardly any."""

from __future__ import annotations

from aether.gateway.retry_budget import FIRST, MOST, RetryBudget


def taken(budget: RetryBudget, requests: int, now_s: float) -> int:
    count = 0
    while budget.take(requests, now_s):
        count += 1
    return count


def test_a_function_that_is_hardly_called_has_a_few_and_one_more_each_second():
    budget = RetryBudget()
    assert taken(budget, 10, 0.0) == FIRST + 1
    assert taken(budget, 10, 0.5) == 0
    assert taken(budget, 10, 3.0) == 3


def test_where_all_requests_fail_a_tenth_is_sent_again():
    budget = RetryBudget()
    allowed = sum(budget.take(requests, 0.0) for requests in range(10_000))
    assert allowed == 10_000 / 10 + FIRST - 1


def test_what_is_not_used_does_not_pile_up():
    budget = RetryBudget()
    budget.take(0, 0.0)
    assert taken(budget, 1_000_000, 3_600.0) == MOST
