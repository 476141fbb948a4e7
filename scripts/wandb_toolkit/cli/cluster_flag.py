"""--dask: the flag, and the cluster for the time of a command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wandb_toolkit.cli.app import warn
from wandb_toolkit.errors import UsageError

if TYPE_CHECKING:
    from wandb_toolkit.cluster import Cluster


def add_dask_flag(parser: argparse._ActionsContainer) -> None:
    """Add the flag."""
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="work on a Dask cluster: tcp://host:8786, or local for one on this machine"
    )


@contextmanager
def cluster_of(args: argparse.Namespace) -> Iterator[Cluster | None]:
    """Yield the cluster that the arguments ask for, None where they ask for none.

    Raises:
        UsageError: the address is none, or the package is not installed.
        ServerError: nothing answers there.
    """
    if args.dask is None:
        yield None
        return
    if not args.dask.strip():
        raise UsageError("--dask is blank.", "Give tcp://host:8786, or local.")
    from wandb_toolkit.cluster import Cluster

    with Cluster(args.dask.strip()) as cluster:
        yield cluster
    for line in cluster.said:
        warn(line, args)
