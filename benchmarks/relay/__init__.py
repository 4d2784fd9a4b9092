"""The relay beside nginx doing the same: `python -m benchmarks relay`.

nginx        the backend, and nginx as one hop and as two
ours         the gateway and an instance proxy, in one process as `aether up` has them
processes    both of them, running, and the CPU time they take
wrk          closed-loop load: as much as goes through
open_loop    load at a fixed rate, for what a request takes longer
suite        pairs in turn, and the figures
"""

from benchmarks.relay.suite import RUNS, measure

__all__ = ["RUNS", "measure"]
