"""A W&B server on loopback for tests and measurements: the read part of the GraphQL API, exports and files.

::

    store = Store()
    store.project("ada", "digits").add(
        Run("abc", [{"_step": 0, "loss": 1.0}, {"_step": 1, "loss": math.nan}], config={"lr": 0.1}, tags=["base"]),
    )
    with Server(store) as server:
        server.latency = 0.06
        server.fault("status", 429, times=2, headers={"Retry-After": "1"})
        api = wandb.Api(overrides={"base_url": server.url}, api_key=server.key)
        ...
        assert server.record.leaks == []

``python -m tests.wandb_server DIR`` serves the runs below a folder.
"""

from .answers import Limits
from .faults import Call, Fault, Record
from .history import Column, History
from .schema import OLD_SERVER
from .server import KEY, Server
from .store import EPOCH, Export, File, Project, Run, Store, Sweep, User

__all__ = [
    "EPOCH",
    "KEY",
    "OLD_SERVER",
    "Call",
    "Column",
    "Export",
    "Fault",
    "File",
    "History",
    "Limits",
    "Project",
    "Record",
    "Run",
    "Server",
    "Store",
    "Sweep",
    "User",
]
