"""What scenarios play on: platforms in processes of their own, so that signals and ends are real.

`platform`   starts, drives, watches and stops one; what it leaves behind is a problem
`simulated`  the program that is run for simulated instances: `aether up` but for the VMM, clock and memory
`code`       archives to deploy
`stage`      what a scenario is given
"""

from tests.faults.stage.platform import Platform, bad_lines
from tests.faults.stage.stage import Stage

__all__ = ["Platform", "Stage", "bad_lines"]
