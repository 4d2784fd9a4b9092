"""Settings of the platform and its roles, read once, at the edge.

Each comes from, first to last: an option of the command, the environment, `.env` in the current
directory, its default. Environment names are `AETHER_` and the field's name in capitals; where the
wire contract has a name of its own (`PORT`, `REDIS_ADDR`, ...) that is read as well. A secret is also
read from the file that `NAME_FILE` names.

`platform`, `stores` and `roles` have the settings, `kinds` their types and checks, `loading` reads them.
"""

from aether.cli.settings.loading import InvalidSettings, Settings, load_settings
from aether.cli.settings.platform import SOCKET_NAME_BYTES, UNIX_PATH_BYTES

__all__ = ["SOCKET_NAME_BYTES", "UNIX_PATH_BYTES", "InvalidSettings", "Settings", "load_settings"]
