"""The registry's configurations follow the functions' rows, which are the truth.

- `bring`: one of them, after a change of its row
- `claim`: that it is those rows
- `configs`: all of them, where a change did not get there, or the registry lost them
"""

from aether.gateway.repair.bring import bring
from aether.gateway.repair.claim import OtherDatabase, require_same_database
from aether.gateway.repair.configs import ConfigRepair

__all__ = ["ConfigRepair", "OtherDatabase", "bring", "require_same_database"]
