"""How failures of an exchange are worded."""

from __future__ import annotations

from aether.gateway.platform_errors import failure_of
from aether.http import Failure, FailureKind
from aether.http.messages import Phase


def test_our_own_failure_is_not_blamed_on_who_was_to_answer():
    error = failure_of("instance a", Failure(FailureKind.HANDLER, Phase.DECIDE, "ValueError", False))
    assert (error.status, error.code) == (500, "internal")
    assert "instance a" not in error.message
