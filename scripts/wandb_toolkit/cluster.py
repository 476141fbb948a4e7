"""The same work on many things by the workers of a Dask cluster: an existing one, or one made on this machine.

The scheduler and its protocol are Dask's. What goes there is runs, histories and findings, never a key: a server is
read by the process that the user started.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from wandb_toolkit import __version__
from wandb_toolkit.errors import ServerError, ToolkitError, UsageError
from wandb_toolkit.text import clean
from wandb_toolkit.workers import Item, Result, Shared, State, usable_cores

LOCAL = "local"
_AHEAD = 3  # batches a worker that may wait for it: what bounds the memory
_BATCH = 8  # things sent together: each message costs the scheduler milliseconds
_CONNECT = 10.0  # seconds
_PATIENCE = 30.0  # seconds without any worker, or without the scheduler, until the rest is done here


@dataclass
class Cluster:
    """A Dask scheduler, connected to when there is something to do."""

    address: str  # as Dask writes it, "tcp://host:8786"; "local": one on this machine, for the time being
    said: list[str] = field(default_factory=list)  # what the user should know: the cluster went away, ...
    _client: Any = None
    _gone: bool = False

    def __enter__(self) -> Cluster:
        """Connect.

        Raises:
            UsageError: the package `distributed` is not installed, the address is none, or the workers have not
                this version of the toolkit.
            ServerError: no scheduler answers there.
        """
        try:
            import distributed as dask
        except ImportError as error:
            raise UsageError("--dask needs the package distributed.", "pip install 'wandb-toolkit[dask]'") from error
        distributed: Any = dask  # its classes have no types
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what happens is said in our words
        try:
            if self.address == LOCAL:
                made = distributed.LocalCluster(
                    n_workers=usable_cores(),
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
                self._client = distributed.Client(made)
                self._client.toolkit_cluster = made
            else:
                self._client = distributed.Client(self.address, timeout=_CONNECT)
        except (OSError, TimeoutError) as error:
            raise ServerError(f"No Dask scheduler answers at {clean(self.address)}.", "Is the cluster up?") from error
        except (ValueError, TypeError) as error:
            message = f"--dask {clean(self.address)} is not an address: {clean(str(error))}"
            raise UsageError(message, "Give tcp://host:8786, or local.") from error
        try:
            self._check_versions()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the cluster; one that was made here ends."""
        client, self._client = self._client, None
        if client is None:
            return
        made = getattr(client, "toolkit_cluster", None)
        for each in (client, made):
            if each is not None:
                with contextlib.suppress(Exception):  # gone already
                    each.close(timeout=5)

    def _check_versions(self) -> None:
        try:
            found = self._client.run(_version, on_error="return")
        except (OSError, TimeoutError) as error:
            raise ServerError(f"The Dask cluster at {clean(self.address)} went away.") from error
        if not found:
            raise ServerError(f"The Dask cluster at {clean(self.address)} has no workers.", "Start some: dask worker.")
        for worker, answer in found.items():
            if isinstance(answer, BaseException):
                raise UsageError(
                    f"The Dask worker {clean(str(worker))} cannot use wandb_toolkit: {clean(str(answer))[:200]}",
                    f"Install version {__version__} in the workers' environment.",
                )
            if answer != __version__:
                raise UsageError(
                    f"The Dask worker {clean(str(worker))} has wandb_toolkit {clean(str(answer))}.",
                    f"This is {__version__}: install one version on both sides.",
                )

    def spread(
        self,
        begin: Callable[[Shared], State],
        shared: Shared,
        work: Callable[[State, Item], Result],
        items: Iterator[Item],
        doing: str,
    ) -> Iterator[Result]:
        """Yield what `work` makes of each item, in order, as `workers.spread` does.

        A worker's things go to another when it is lost. Where the scheduler or all workers are lost, the rest is done
        here, and `said` tells so.
        """
        here: list[State] = []  # what this process keeps, once it has to work

        def result_of(batch: list[Item], future: Any) -> list[Result]:
            with self._leaving(doing):
                if not self._gone and future is not None:
                    results: list[Result] = self._wait(future)
                    return results
            if not here:
                here.append(begin(shared))
            return [work(here[0], item) for item in batch]

        waiting: deque[tuple[list[Item], Any]] = deque()
        handed, most = self._hand_out(begin, shared, doing)
        while batch := list(islice(items, _BATCH)):
            waiting.append((batch, self._submit(handed, work, batch, doing)))
            while len(waiting) > most:
                yield from result_of(*waiting.popleft())
        while waiting:
            yield from result_of(*waiting.popleft())

    def _hand_out(self, begin: Callable[[Shared], State], shared: Shared, doing: str) -> tuple[Any, int]:
        """Give each worker what all things have in common; return it there, and how many batches may wait."""
        with self._leaving(doing):
            if not self._gone:
                # A task, not scattered data: what a lost worker held is made again from what the scheduler has.
                handed = self._client.submit(_handed, uuid.uuid4().hex, begin, shared, pure=False)
                return handed, _AHEAD * max(1, sum(self._client.nthreads().values()))
        return None, 1

    def _submit(self, handed: Any, work: Callable[[State, Item], Result], batch: list[Item], doing: str) -> Any:
        with self._leaving(doing):
            if not self._gone:
                return self._client.submit(_do, handed, work, batch, pure=False)
        return None

    @contextlib.contextmanager
    def _leaving(self, doing: str) -> Iterator[None]:
        """Give the cluster up when the block fails for a reason of the cluster's; the work's own errors pass."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "sending large graph": curves are large
                yield
        except ToolkitError:
            raise
        except Exception as error:  # a lost connection ends in many ways; a fault of the work's own comes again
            if not self._gone:
                self._gone = True
                why = type(error).__name__
                self.said.append(f"the Dask cluster was lost ({why}): the process here {doing} what was left")

    def _wait(self, future: Any) -> Any:
        """Wait for a result as long as there is a worker that may bring it."""
        without = 0.0
        while True:
            try:
                return future.result(timeout=5)
            except TimeoutError:  # distributed's own is this one
                if future.done():
                    raise
                alive = self._client.status == "running" and bool(self._client.nthreads())
                without = 0.0 if alive else without + 5
                if without >= _PATIENCE:
                    raise


_states: dict[str, Any] = {}  # of a worker: what `begin` made, of the last few calls


def _handed(*common: Any) -> tuple[Any, ...]:
    return common


def _do(
    handed: tuple[str, Callable[[Any], Any], Any], work: Callable[[Any, Item], Result], batch: list[Item]
) -> list[Result]:
    token, begin, shared = handed
    if token not in _states:
        while len(_states) > 2:
            _states.pop(next(iter(_states)))
        _states[token] = begin(shared)
    return [work(_states[token], item) for item in batch]


def _version() -> str:
    return __version__
