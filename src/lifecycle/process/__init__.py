"""Child processes tied to this process's life: however it ends, SIGKILL included, none of them is left, grandchildren included.

`Children` starts and owns many (the servers of a tier); `spawn_tied` starts one from asyncio code (a model server of an emulator). Both go
through a guardian process, see `lifecycle.process.guardian` for how and why. `ReservedPort` keeps a free port free until its server has it.
"""

from __future__ import annotations

from lifecycle.process.children import Child, Children, log_tail
from lifecycle.process.ports import HOST, ReservedPort
from lifecycle.process.tied import TiedProcess, spawn_tied

__all__ = ["HOST", "Child", "Children", "ReservedPort", "TiedProcess", "log_tail", "spawn_tied"]
