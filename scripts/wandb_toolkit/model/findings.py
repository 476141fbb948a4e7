"""What is said of one run: findings, roles, its verdict, and what to try next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from wandb_toolkit.model.runs import Direction, Run, Series, Severity


@dataclass(frozen=True)
class LeadUp:
    """Something that moved before a finding's onset. It came first; that does not make it the cause."""

    metric: str
    what: str  # "rose", "fell", "epoch ended", "began"
    step: int  # on the training's own axis
    lag: int  # steps before the onset
    before: float | None = None  # its level, and where it went
    after: float | None = None
    log_step: int | None = None  # W&B's `_step` at `step`


@dataclass(frozen=True)
class Finding:
    """A detector's claim about one run, with the evidence for it."""

    id: str  # stable: "loss_divergence"
    severity: Severity
    title: str  # one plain sentence with the numbers in it
    metrics: tuple[str, ...] = ()
    step: int | None = None  # onset; None where the diagnosis has none
    evidence: Mapping[str, Any] = field(default_factory=dict)  # values and thresholds, JSON-ready
    advice: str = ""
    consequence_of: str | None = None  # the id of the finding that explains this one
    log_step: int | None = None  # W&B's `_step` at `step`, which is on the training's own axis
    leading_up: tuple[LeadUp, ...] = ()  # what moved before it, the nearest first
    figure: str | None = None  # the file that shows it; None: none was asked for, or it has no curve
    curves: tuple[Series, ...] = field(default=(), compare=False, repr=False)  # what it rests on, the main one first


@dataclass(frozen=True)
class Skipped:
    """A detector that could not judge the run."""

    id: str
    reason: str


OBJECTIVES = frozenset({"policy", "adversary"})  # kinds of a loss that does not fall as training goes well


@dataclass(frozen=True)
class RoleMatch:
    """Which metric plays a role in a run, and why."""

    role: str  # "loss", "reward", "kl", ...
    metric: str
    why: str
    sign: int = 1  # -1: the framework logs the negative (Stable-Baselines3's entropy_loss)
    kind: str = ""  # "policy", "adversary": an objective that does not fall as training goes well; "average": ...

    @property
    def is_objective(self) -> bool:
        """Whether its level says nothing: a policy's, a value function's or an adversary's objective."""
        return self.kind in OBJECTIVES


@dataclass(frozen=True)
class Primary:
    """The metric that runs are ranked by, or one is judged by."""

    metric: str
    direction: Direction
    why: str


@dataclass(frozen=True)
class RunReport:
    """One run's verdict."""

    run: Run
    verdict: Literal["good", "bad", "ugly", "unknown"]  # unknown: nothing shows that the run learned
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    passed: tuple[str, ...] = ()  # ids of detectors that looked and found nothing
    roles: tuple[RoleMatch, ...] = ()
    sampled: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # metric → points read, points logged
    unjudged: str = ""  # why no progress could be confirmed, in plain words
    step_metric: str = "_step"  # what counts its steps
    primary: Primary | None = None  # what it was judged by: its own where it lacks the one that runs are ranked by


@dataclass(frozen=True)
class Experiment:
    """A next experiment that follows from a finding."""

    title: str
    why: str  # the finding or comparison it follows from
    change: str  # what, from what, to what
    expect: str  # which metric should do what
    refute: str  # what would show it wrong
    finding: str | None = None  # finding id
    runs: tuple[str, ...] = ()  # run ids it follows from
