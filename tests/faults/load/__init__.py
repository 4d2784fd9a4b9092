"""A load client that believes nothing: each request has a token of its own, and each answer is judged.

`request`     what is sent
`connection`  one kept connection, raw; what was seen on it (h11 reads, which Aether doesn't use)
`judge`       what was seen -> answered, platform error, lost or wrong
`ledger`      all verdicts of a scenario, the errors that it has a cause for, and the sums
`client`      open loop, closed loop, burst
"""

from tests.faults.load.client import Client, Target
from tests.faults.load.judge import Judged, Verdict, judge
from tests.faults.load.ledger import Cause, Kill, Ledger

__all__ = ["Cause", "Client", "Judged", "Kill", "Ledger", "Target", "Verdict", "judge"]
