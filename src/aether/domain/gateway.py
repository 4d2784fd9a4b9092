"""A gateway as the registry shows it to other gateways and to who scales: what waits there, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

GATEWAY, CONTROLLER = "gateway", "controller"


@dataclass(frozen=True, slots=True)
class GatewayRecord:
    """`/aether/gateways/{id}`. Only functions that there is something to say of, and not too many."""

    id: str
    hostname: str
    version: str
    last_heartbeat: datetime
    role: str = GATEWAY
    """`controller` of one that takes no requests, and asks for starts all the same."""
    address: str = ""
    """Where it takes requests: host and port."""
    leads: bool = False
    """It is the one that scales now."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Requests that no instance could take yet, by function id."""
    starting: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Instances that it has asked for and that are not there yet, by function id and revision."""
    missing_room: Mapping[str, int] = field(default_factory=dict)
    """Instances that it needs and no worker has room for, by function id."""
    trying_again: Mapping[str, int] = field(default_factory=dict)
    """Revisions that failed, and that somebody wished to be started once more, by function id."""
    took_over: Mapping[str, int] = field(default_factory=dict)
    """Revisions that serve without an instance, for want of room beside the ones before, by function id."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """Workers that it can't reach, by id, and why."""
