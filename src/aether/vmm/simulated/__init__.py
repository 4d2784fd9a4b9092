"""Instances as small HTTP servers in this process, for tests that are not about VMs.

    vmm = SimulatedVmm(Behaviour(boot_s=0.2, fault=Fault.HANG, fault_after_requests=5))

`behaviour`  what simulated functions do: delays and failures
`function`   the HTTP server that answers in a function's place
`requests`   what it is asked
`reactions`  what it does then
`machine`    one instance
`driver`     the Vmm
"""

from aether.vmm.simulated.behaviour import HEALTH_PATH, Behaviour, Fault
from aether.vmm.simulated.driver import SimulatedHost, SimulatedVmm

__all__ = ["HEALTH_PATH", "Behaviour", "Fault", "SimulatedHost", "SimulatedVmm"]
