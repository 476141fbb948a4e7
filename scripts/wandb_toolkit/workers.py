"""The same work on many things, in this process or in several; only the parent reads and writes.

A worker gets plain data and returns plain data. Whatever happens to a worker, or to the parent, nothing is half done.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from wandb_toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import FrameType

Shared = TypeVar("Shared")
State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2  # things a worker that may wait for it: what bounds the memory
_TRIED = 16  # things done here first, to see how long one takes
_WORTH = 2.0  # seconds of work that processes must save before they are started: each needs about one to begin


class Elsewhere(Protocol):
    """Who else does work: a cluster."""

    def spread(
        self,
        begin: Callable[[Shared], State],
        shared: Shared,
        work: Callable[[State, Item], Result],
        items: Iterator[Item],
        doing: str,
    ) -> Iterator[Result]:
        """Yield what `work` makes of each item, in order."""
        ...


def usable_cores(most: int = 8) -> int:
    """Return how many processes work at once without waiting for each other."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, most)


def spread(
    begin: Callable[[Shared], State],
    shared: Shared,
    work: Callable[[State, Item], Result],
    items: Iterator[Item],
    jobs: int,
    doing: str,
    *,
    total: int | None = None,
    elsewhere: Elsewhere | None = None,
) -> Iterator[Result]:
    """Yield what `work` makes of each item, in order, by `jobs` processes (1: this one).

    `begin` and `work` are functions of a module, and everything else can be pickled. Items are taken only a little
    ahead of what was yielded.

    Args:
        begin: makes of `shared` what a worker keeps.
        shared: what all items have in common; goes to each worker once.
        work: what is done with an item.
        items: the things, in order.
        jobs: how many processes.
        doing: what a worker does, for a message: "draws".
        total: how many items there are; given, the first are done here, and processes start only if they pay.
        elsewhere: who does it instead of processes of this machine.

    Raises:
        ToolkitError: a worker was killed.
    """
    if total is not None or (jobs < 2 and elsewhere is None):
        state = begin(shared)
        started = time.perf_counter()
        for done, item in enumerate(items, 1):
            yield work(state, item)
            if (jobs > 1 or elsewhere) and total is not None and done == _TRIED:
                left = (time.perf_counter() - started) / done * (total - done)  # with what the reader of results did
                if left * (1 - 1 / max(jobs, 2)) > _WORTH:
                    break
        else:
            return
    if elsewhere is not None:
        yield from elsewhere.spread(begin, shared, work, items, doing)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: the parent may have threads that read from a server.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(begin, shared))
    waiting: deque[Future[Result]] = deque()
    try:
        for one in items:
            waiting.append(pool.submit(_do, work, one))
            while len(waiting) > _AHEAD * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ToolkitError(
            f"A process that {doing} was killed, perhaps for want of memory.", "Try again with --jobs 1."
        ) from error
    finally:  # interrupted, too: what is under way is finished and dropped, so that no process stays behind
        pool.shutdown(wait=True, cancel_futures=True)


_state: Any = None  # of a worker process


def _start(begin: Callable[[Any], Any], shared: Any) -> None:
    """Prepare a worker: Ctrl-C is the parent's to handle, and no worker outlives the parent."""
    global _state  # noqa: PLW0603 a worker has one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _state = begin(shared)


def _end_with(sentinel: int) -> None:
    from multiprocessing.connection import wait

    wait([sentinel])
    os._exit(1)


def _do(work: Callable[[Any, Item], Result], one: Item) -> Result:
    return work(_state, one)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what is finished gets recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back while the block runs; they act at its end. For a file and the word of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt
