"""MicroVMs by QEMU: on any Linux, without privileges.

`config`    settings
`command`   the command line, a pure function
`process`   the QEMU process, watched by a pidfd; giving up root
`sockets`   monitor, control channel and console, inherited by QEMU as listening sockets
`monitor`   QMP
`records`   the run directory: what a later process adopts or sweeps away
`machine`   one machine and its end; `unexplained`: why it ended where nobody said so
`spawn`     a process with everything it inherits; `attempts`: with a watchdog and a second try
`boot`, `restore`, `snapshot`, `adopt`, and `driver`, the Vmm over all of them
"""

from aether.vmm.qemu.config import QemuConfig
from aether.vmm.qemu.driver import QemuVmm

__all__ = ["QemuConfig", "QemuVmm"]
