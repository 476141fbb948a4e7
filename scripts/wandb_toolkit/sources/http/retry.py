"""When to try a request again: waits that grow with jitter, what the server asks for, and the end of patience."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TypeVar

from wandb_toolkit.errors import ServerError

T = TypeVar("T")

FIRST_WAIT = 0.5  # seconds; doubles with each try
LONGEST_WAIT = 15.0
SLOWEST = 50_000  # bytes a second; a body that comes faster may take longer than the budget
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 530)})


class TryAgain(Exception):  # noqa: N818 - not an error yet
    """One try failed in a way that another may not."""

    def __init__(self, message: str, *, wait: float | None = None, tries: int | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message  # what happened: "api.wandb.ai answered HTTP 502"
        self.wait = wait  # seconds that the server asks for
        self.tries = tries  # give up after this many, where that is sooner than otherwise
        self.hint = hint


class Budget:
    """The time that one operation may take, all its tries and waits included."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._start = clock()
        self._granted = 0.0

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    @property
    def left(self) -> float:
        """Seconds until the end, 0 or less when it is over."""
        return self.seconds + self._granted - self.spent

    def queued(self, seconds: float) -> None:
        """Allow for time spent waiting for requests of others."""
        self._granted += seconds

    def received(self, count: int) -> None:
        """Allow for the time that a body of `count` more bytes may take."""
        self._granted += count / SLOWEST


class Retrying:
    """Tries calls until one answers. All threads of a connection share it: a rate limit holds every one of them."""

    def __init__(
        self,
        *,
        timeout: float,
        retries: int,
        concurrency: int,
        rng: random.Random | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout = timeout
        self.retries = retries
        self.repeated = 0  # tries after the first
        self._rng = rng or random.Random()  # noqa: S311 - spreads waits
        self._closed = threading.Event()
        self._sleep = sleep or self._closed.wait
        self._clock = clock
        self._slots = threading.BoundedSemaphore(concurrency)
        self._lock = threading.Lock()
        self._not_before = 0.0  # on the clock; when the server lets us ask again

    def close(self) -> None:
        """End every wait at once."""
        self._closed.set()

    def run(self, one_try: Callable[[Budget], T], what: str, most: int | None = None) -> T:
        """Return what `one_try` returns, asking again on `TryAgain`; at most `most` times, unless asked to wait.

        Raises:
            ServerError: the number of tries or the time is used up.
        """
        budget = Budget(self.timeout, self._clock)
        tries = 0
        while True:
            self._wait_for_gate(budget)
            if self._closed.is_set():
                raise ServerError(f"Cannot read {what}: interrupted.")
            tries += 1
            try:
                return one_try(budget)
            except TryAgain as failure:
                last = failure
            wait = self._wait(last, tries)
            limit = None if last.wait is not None else most
            if tries > min([self.retries, *((n - 1) for n in (last.tries, limit) if n)]) or wait >= budget.left:
                break
            with self._lock:
                self.repeated += 1
            self._sleep(wait)
        raise self._given_up(last, what, tries, budget)

    @contextmanager
    def slot(self, budget: Budget) -> Iterator[None]:
        """Be one of the requests in flight; the wait until there may be one more is not the operation's own time."""
        queued = budget.spent
        with self._slots:
            budget.queued(budget.spent - queued)
            yield

    def _wait(self, failure: TryAgain, tries: int) -> float:
        """Return the seconds until the next try."""
        with self._lock:
            jitter = self._rng.uniform(0.5, 1.0)
            if failure.wait is not None:
                self._not_before = max(self._not_before, self._clock() + failure.wait)
                return failure.wait + 0.2 * jitter * min(1.0, failure.wait)
        return jitter * min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (tries - 1))

    def _wait_for_gate(self, budget: Budget) -> None:
        """Hold a call back while the server wants none, unless that outlasts its budget: then let it find out."""
        with self._lock:
            wait = self._not_before - self._clock()
        if 0 < wait < budget.left:
            self._sleep(wait)

    def _given_up(self, failure: TryAgain, what: str, tries: int, budget: Budget) -> ServerError:
        often = f"tried {tries} times in {budget.spent:.0f} s" if tries > 1 else f"after {budget.spent:.0f} s"
        if failure.wait is not None and failure.wait >= budget.left:
            hint = f"The server asks to wait {failure.wait:.0f} s. Try again then, or give more time with --timeout."
        else:
            hint = failure.hint or "The server or the way to it is failing. Try again later, or raise --timeout."
        return ServerError(f"Cannot read {what}: {failure.message} ({often}).", hint)


def asked_wait(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that Retry-After (a number or a date) or RateLimit-Reset ask for, None where neither does."""
    for name in ("Retry-After", "RateLimit-Reset"):
        text = (headers.get(name) or "").strip()
        try:
            seconds = float(text)
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now)
            except (ValueError, TypeError, OverflowError):
                continue
        if seconds > 1e9:  # RateLimit-Reset of some proxies is a moment
            seconds -= time.time() if now is None else now
        if seconds == seconds and seconds < 1e9:
            return max(seconds, 0.0)
    return None
