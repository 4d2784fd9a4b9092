"""Cold starts through real etcd and Redis: `python -m benchmarks controlplane`.

stores    etcd and Redis, running
gateway   a gateway with the controller, a process of its own
worker    a worker over simulated instances, another
nodes     all of them, running, and the CPU time they take
load      each function called once: as fast as it goes, or at a rate
suite     two passes, and the figures
"""

from benchmarks.controlplane.suite import RUNS, measure

__all__ = ["RUNS", "measure"]
