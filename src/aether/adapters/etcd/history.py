"""Whether etcd still has the history that we know: after a restore it has another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class History:
    """By what the headers of its answers say."""

    def __init__(self) -> None:
        self._cluster_id = ""
        self._term = 0

    def begin(self, header: Mapping[str, Any]) -> int:
        """A view was taken; its revision."""
        self._cluster_id, self._term = header["cluster_id"], int(header["raft_term"])
        return int(header["revision"])

    def goes_on(self, header: Mapping[str, Any], revision: int) -> bool:
        """Whether it is the one that `revision` was seen in."""
        term = int(header.get("raft_term", 0))
        same = header["cluster_id"] == self._cluster_id and term >= self._term
        if not self._cluster_id:
            same = True
        if same:
            self._cluster_id, self._term = header["cluster_id"], term
        return same and int(header.get("revision", 0)) >= revision
