"""Rows as they are logged → the findings so far, by the report's own detectors."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from wandb_toolkit.guard.rows import Rows

if TYPE_CHECKING:
    from wandb_toolkit.errors import ToolkitError
    from wandb_toolkit.model import Finding, History, Run
    from wandb_toolkit.sources.base import KeyChoice

FIRST = 10  # rows before the first look
ENOUGH = 30  # rows, and a twentieth of the plan, before anything but a value that is not finite stops a training
GROWTH = 1.15  # rows until the next look, as a factor: the looks of a long training cost a fixed share of it
SOON = 5  # rows until a look that confirms, at least
# A finding of a passing kind (a return that falls may rise again) stops a training only when it has been there for
# half as many rows again as there were when it came.
_PATIENCE = 0.5
_FAILING = {"ugly": ("ugly",), "bad": ("ugly", "bad")}


class Guard:
    """What `wandb_report` would say of a training, while it trains."""

    def __init__(
        self,
        *metrics: str,
        steps: int | None = None,
        config: Mapping[str, Any] | None = None,
        fail_on: Literal["ugly", "bad"] = "ugly",
        primary: str | None = None,
        roles: Mapping[str, str] | None = None,
        on_finding: Callable[[Finding], object] | None = None,
        every: int | None = None,
        points: int = 20_000,
        strict: bool = False,
    ) -> None:
        """Watch a training.

        Args:
            metrics: names or globs of what to watch; none: every number that is logged.
            steps: how many the training is to have; without it the plan is read from `config`, if it says one.
            config: the run's settings, as W&B gets them. They tell the task, warm-up and plan.
            fail_on: which findings make `should_stop` true: "ugly", or "bad" and "ugly".
            primary: the metric to judge by; None: chosen by name.
            roles: role → metric, where names do not tell: {"reward": "score"}.
            on_finding: called once with each finding that was confirmed.
            every: rows between two looks; None: ever more as the training goes on (15% of its rows).
            points: of each metric that are kept; of more, older ones are thinned.
            strict: raise what goes wrong in here; otherwise it is a warning, and the training goes on.
        """
        self.fail_on, self.primary, self.strict = fail_on, primary, strict
        self.findings: tuple[Finding, ...] = ()  # bad and ugly ones of the last look, causes first
        self._rows = Rows(metrics, points)
        self._config = {**(config or {}), **({"max_steps": steps} if steps else {})}
        self._steps = steps or 0
        self._roles, self._on_finding, self._every = dict(roles or {}), on_finding, every
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        self._next = every or FIRST
        self._since: dict[str, int] = {}  # id → rows when it came, of the last look's findings
        self._confirmed: dict[str, Finding] = {}
        self._id = uuid.uuid4().hex[:8]

    def log(self, row: Mapping[str, Any], step: int | None = None) -> tuple[Finding, ...]:
        """Take a row, as `wandb.log` gets it, and return the bad and ugly findings so far.

        Most calls only remember the numbers; now and then the training is judged anew. Values that are no numbers are
        left out. Without `step`, rows are counted.
        """
        try:
            clock = time.monotonic() - self._clock
            times = {"_runtime": clock, "_timestamp": self._started.timestamp() + clock}
            at = float(step) if step is not None else self._rows.last + 1
            broken = self._rows.add({**row, **times}, at)
            if broken or self._rows.rows >= self._next:
                self.judge()
        except Exception as error:
            self._failed(error)
        return self.findings

    def judge(self) -> tuple[Finding, ...]:
        """Judge what was logged so far, now, and return the bad and ugly findings."""
        from wandb_toolkit.model import Run
        from wandb_toolkit.reports.build import ReportOptions, build_report

        now = datetime.now(UTC)
        run = Run(
            id=self._id, name="this training", entity=None, project=None, state="running", created_at=self._started,
            last_activity=now, config=self._config, steps=int(self._rows.last), rows=self._rows.rows,
        )  # fmt: skip
        history = self._rows.history()
        known = {role: metric for role, metric in self._roles.items() if metric in history}
        primary = self.primary if self.primary in history else None
        if any(not name.startswith("_") for name in history):
            options = ReportOptions(now, primary=primary, overrides=known)
            [report] = build_report(_Memory(history), [run], options).report.runs
            self.findings = tuple(one for one in report.findings if one.severity in ("ugly", "bad"))
        before = self._since
        self._since = {one.id: before.get(one.id, self._rows.rows) for one in self.findings}
        self._plan(new=bool(set(self._since) - set(before)))
        self._tell([one for one in self.findings if one.id in before])
        return self.findings

    @property
    def should_stop(self) -> bool:
        """Whether a finding that two looks in a row made is as severe as `fail_on`, and no consequence of another.

        A finding of a kind that trainings often recover from has to stay for longer.
        """
        return bool(self.reason)

    @property
    def reason(self) -> str:
        """The sentence of the first finding that stops the training; "" where none does."""
        return next((one.title for one in self.findings if self._stops(one)), "")

    def _stops(self, one: Finding) -> bool:
        if one.id not in self._confirmed or one.consequence_of or one.severity not in _FAILING[self.fail_on]:
            return False
        from wandb_toolkit.detectors import DETECTORS

        detector, rows = DETECTORS[one.id], self._rows.rows
        if detector.final:
            return True
        if rows < ENOUGH or self._rows.last < self._steps / 20:
            return False  # a noisy start looks like many things
        return not detector.passing or rows >= self._since[one.id] * (1 + _PATIENCE)

    def _plan(self, *, new: bool) -> None:
        rows = self._rows.rows
        later = rows + self._every if self._every else max(rows + 1, int(rows * GROWTH))
        self._next = min(later, rows + max(SOON, rows // 50)) if new else later

    def _tell(self, confirmed: Sequence[Finding]) -> None:
        there = {one.id for one in confirmed}
        for gone in [known for known in self._confirmed if known not in there]:
            del self._confirmed[gone]  # taken back: it counts as new if it comes again
        for one in confirmed:
            if one.id not in self._confirmed:
                self._confirmed[one.id] = one
                if self._on_finding is not None:
                    try:
                        self._on_finding(one)
                    except Exception as error:
                        self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self.strict:
            raise error
        self._next = self._rows.rows + max(FIRST, self._rows.rows // 5)
        warnings.warn(f"wandb_toolkit.guard: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=3)


@dataclass(frozen=True)
class _Memory:
    """A training's rows as a source of one run."""

    history: History
    kind: str = "local"
    description: str = "this training"
    warnings: tuple[str, ...] = ()

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the run."""
        return list(runs)

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield the metrics that are asked for."""
        from wandb_toolkit.model import History

        del system, full
        found = self.history
        names = list(found) if keys is None else list(keys(found.kinds) if callable(keys) else keys)
        series = {name: found[name] for name in names if name in found}
        for run in runs:
            yield run, History(series, kinds=found.kinds, rows=found.rows)

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        """Yield nothing: the training prints for itself."""
        del lines
        for _ in runs:
            yield []
