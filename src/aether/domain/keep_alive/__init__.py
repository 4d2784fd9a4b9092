"""How long idle instances stay, and when they come back ahead of a call.

`plan` is what a policy says, and what it means for the scaling rule; `rules`, `histogram` and `learned` are
policies: they hear of each call after an idle time, and say what to do in the next.
"""

from aether.domain.keep_alive.histogram import HybridHistogram
from aether.domain.keep_alive.learned import Learned
from aether.domain.keep_alive.plan import Plan
from aether.domain.keep_alive.policy import Policy
from aether.domain.keep_alive.rules import FIXED_KEEP_S, SEED_KEEP_S, FixedTime

__all__ = [
    "FIXED_KEEP_S",
    "SEED_KEEP_S",
    "FixedTime",
    "HybridHistogram",
    "Learned",
    "Plan",
    "Policy",
]
