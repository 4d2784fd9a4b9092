"""What a log shows of an error: where it happened, and no values."""

from __future__ import annotations

import io
import sys

import pytest
import structlog

from aether.adapters.sql.postgres import Address
from aether.cli.logging import configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before():
    yield
    structlog.reset_defaults()


def test_tracebacks_on_a_terminal_show_no_values(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    configure_logging("info")
    password = "TERC-3S"[::-1].lower()  # the line itself is shown
    try:
        [][len(password)]
    except IndexError:
        structlog.get_logger().exception("it broke")
    assert "IndexError" in sys.stderr.getvalue()
    assert "s3-cret" not in sys.stderr.getvalue()


def test_an_address_shows_no_password():
    assert "s3cret" not in repr(Address.parse("postgresql://ada:s3cret@db/aether"))
