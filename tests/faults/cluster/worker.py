"""`aether worker` over simulated instances: they behave as functions say, and write down what they get.

What `tests.faults.stage.simulated` is for `aether up`. `JOURNAL` names the file.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from tests.faults.stage.simulated import JournalVmm

import aether.cli.roles.machines
from aether.cli.main import main

if __name__ == "__main__":
    aether.cli.roles.machines.SimulatedVmm = partial(JournalVmm, Path(os.environ["JOURNAL"]))  # type: ignore[assignment,misc]
    sys.exit(main(["worker"]))
