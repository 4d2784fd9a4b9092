"""What a decision is made from, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field

from aether.domain.function import Limits
from aether.domain.scaling.windows import History


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """One ready instance. `idle_s` is 0 while it runs a request."""

    id: str
    in_flight: int
    idle_s: float
    current: bool
    """It runs the version that should serve; others are to be replaced."""
    fresh: bool = True
    """The facts are recent enough to stop it by."""

    def idle_for(self, seconds: float) -> bool:
        return not self.in_flight and self.idle_s >= seconds


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    instances: tuple[InstanceFacts, ...]
    starting: int
    """Instances of the serving version on their way."""
    waiting: int
    """Requests at gateways that no instance could take."""

    @property
    def current(self) -> list[InstanceFacts]:
        return [i for i in self.instances if i.current]

    @property
    def outdated(self) -> list[InstanceFacts]:
        return [i for i in self.instances if not i.current]

    @property
    def have(self) -> int:
        """Instances of the serving version, there or on their way."""
        return len(self.current) + self.starting

    @property
    def load(self) -> int:
        """Requests that instances run, outdated ones too."""
        return sum(i.in_flight for i in self.instances)


@dataclass(frozen=True, slots=True)
class Keep:
    """How long idle instances stay."""

    instance_idle_s: float
    """One of several."""
    last_idle_s: float
    """The last ones: when all have been idle for so long, all go."""
    ahead: int = 0
    """Instances to have now though nothing asks for them yet, where there is room."""

    @classmethod
    def fixed(cls, limits: Limits) -> Keep:
        """By the function's two times."""
        return cls(limits.instance_idle_timeout_s, limits.scale_to_zero_after_s)


@dataclass(frozen=True, slots=True)
class Decision:
    start: int = 0
    """Instances that load, an update or `min_instances` needs: worth others' idle ones."""
    ahead: int = 0
    """More of them, worth only memory that nobody needs."""
    drain: tuple[str, ...] = ()
    history: History = field(default=History(), compare=False)
    """For the next look."""
