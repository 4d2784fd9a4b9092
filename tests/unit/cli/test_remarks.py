"""What `aether describe` remarks on a call."""

import pytest

from aether.cli.commands.functions import remarks

CALL = {
    "id": "1",
    "function_id": "fn-1",
    "status": "error",
    "duration_ms": 1,
    "started_at": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("told", "remarked"),
    [
        ({}, ""),
        ({"attempts": 0, "error_message": None}, ""),
        ({"attempts": 1, "error_message": "It ended.\n  at line 1\n"}, "It ended."),
        ({"attempts": 2, "error_message": None}, "2 attempts"),
        ({"attempts": 3, "error_message": "\n\x1b[2JIt ended."}, "3 attempts: It ended."),
    ],
)
def test_second_tries_and_the_errors_first_line_are_remarked(told, remarked):
    assert remarks(CALL | told) == remarked
