"""The rules between a function's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from aether.domain.errors import InvalidRequest
from aether.domain.function import Limits

_LIMITS = tuple(field.name for field in fields(Limits))


def limits_with(current: Limits, given: Mapping[str, Any]) -> Limits:
    """`current` with what is given of it. Raises InvalidRequest."""
    wanted = replace(current, **{name: given[name] for name in _LIMITS if name in given})
    if "target_concurrency" not in given:
        # It bounds itself to the hard limit rather than make who sets that name both.
        wanted = replace(wanted, target_concurrency=min(wanted.target_concurrency, wanted.max_concurrency))
    wrong = _contradictions(wanted)
    if wrong:
        raise InvalidRequest("fields contradict each other", fields=wrong)
    return wanted


def _contradictions(limits: Limits) -> dict[str, str]:
    """What is wrong between fields that are each right, by the name of the field to change."""
    wrong: dict[str, str] = {}
    if limits.target_concurrency > limits.max_concurrency:
        wrong["target_concurrency"] = f"must be at most max_concurrency, {limits.max_concurrency}"
    if limits.min_instances > limits.max_instances:
        wrong["min_instances"] = f"must be at most max_instances, {limits.max_instances}"
    return wrong
