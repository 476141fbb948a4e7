"""Calls made by several threads at once, their results in the order of the calls."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

from wandb_toolkit.errors import ToolkitError

T = TypeVar("T")


class _Slot(Generic[T]):
    """A call and, once `done` is set, what came of it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self.done = threading.Event()
        self.result: T | ToolkitError
        self.bug: BaseException | None = None

    def outcome(self) -> T | ToolkitError:
        self.done.wait()
        if self.bug is not None:
            raise self.bug
        return self.result

    def work(self) -> None:
        try:
            self.result = self._call()
        except ToolkitError as error:
            self.result = error
        except BaseException as error:  # handed to the thread that waits for it
            self.bug = error
        self.done.set()


def gather(calls: Iterable[Callable[[], T]], concurrency: int) -> Iterator[T | ToolkitError]:
    """Yield what each call returns, or the `ToolkitError` that it raised, in order; any other error is raised here.

    Calls are taken from the iterable only a little ahead of what was yielded, so memory does not grow with their
    number. An interrupt, or a caller that stops listening, ends it at once: the threads are daemons, nobody waits.
    """
    queue: SimpleQueue[_Slot[T] | None] = SimpleQueue()
    waiting: deque[_Slot[T]] = deque()
    threads: list[threading.Thread] = []
    stopped = threading.Event()

    def worker() -> None:
        while (slot := queue.get()) is not None and not stopped.is_set():
            slot.work()

    try:
        for call in calls:
            slot = _Slot(call)
            waiting.append(slot)
            queue.put(slot)
            if len(threads) < concurrency:
                threads.append(threading.Thread(target=worker, daemon=True, name=f"wandb-toolkit-{len(threads)}"))
                threads[-1].start()
            if len(waiting) >= 2 * concurrency:
                yield waiting.popleft().outcome()
        while waiting:
            yield waiting.popleft().outcome()
    finally:
        stopped.set()
        for _ in threads:
            queue.put(None)
