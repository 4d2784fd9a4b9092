"""Control groups: what holds a machine to its memory, its processors and its number of threads.

`bounds`   what a group is held to
`own`      the mounted hierarchies, and where this process is in them
`place`    where groups can be made, by looking; `v1`, `v2`: the files of the two versions
`memory`   how much there is, by the host's count and by groups around this process
`group`    one group; `groups`: all of a platform's; `memo`: how a later process finds them
"""

from aether.vmm.cgroups.bounds import CONTROLLERS, Bounds
from aether.vmm.cgroups.group import Group
from aether.vmm.cgroups.groups import Groups
from aether.vmm.cgroups.memory import HostMemory
from aether.vmm.cgroups.place import NoPlace, Place, find_place

__all__ = ["CONTROLLERS", "Bounds", "Group", "Groups", "HostMemory", "NoPlace", "Place", "find_place"]
