"""A stopped server that every lab of this process copies, because making one takes longer than
copying it.

There is one for each installation and network: initdb, the lab's settings, the client's and the
prober's tables, and a clean stop.  A copy is a primary, or a standby of another copy: all have the
same history up to the checkpoint of that stop.
"""
import atexit
from typing import Dict, Tuple

from ahmlib.lab import client, prober
from ahmlib.lab.hosts import MachineHost
from ahmlib.lab.installations import Installation, usable_by
from ahmlib.lab.postgres import Database
from ahmlib.lab.workspace import Workspace

_made: Dict[Tuple[Installation, str], str] = {}


def data_directory(installation: Installation, network: str) -> str:
    """The data directory to copy; it is made at the first call and goes with the interpreter.

    Raises LabError where it cannot be made.
    """
    key = (installation, network)
    if key not in _made:
        workspace = Workspace()
        atexit.register(workspace.close)
        database = Database(usable_by(workspace.user, installation, workspace.directory),
                            MachineHost(workspace, 'tp'), 'template', 5432, '', network)
        database.init_primary()
        database.start()
        database.sql(client.TABLE)
        database.sql(prober.TABLE)
        database.stop()
        _made[key] = database.data_dir
    return _made[key]
