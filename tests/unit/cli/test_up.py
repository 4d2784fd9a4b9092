"""What `aether up` tells of itself."""

from __future__ import annotations

from aether.cli.announcing import url_of


def test_urls_of_both_families_can_be_used_as_they_are():
    assert url_of("http", "127.0.0.1", 8080) == "http://127.0.0.1:8080"
    assert url_of("https", "::1", 8443) == "https://[::1]:8443"
