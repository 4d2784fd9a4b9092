"""How many instances a function should have: pure functions of facts, asked every second.

`facts` are the values that go in and come out, `windows` what is remembered from look to look, and
`rule` decides.
"""

from aether.domain.scaling.facts import Decision, FunctionFacts, InstanceFacts, Keep
from aether.domain.scaling.rule import decide
from aether.domain.scaling.windows import History

__all__ = ["Decision", "FunctionFacts", "History", "InstanceFacts", "Keep", "decide"]
