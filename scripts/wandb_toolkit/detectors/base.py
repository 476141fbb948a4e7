"""What a detector is given, what it is, and the registry it enters.

A detector is a pure function of a `RunView`. It returns a finding, or None when it looked and found nothing, or raises
`NotApplicable` with the reason why it cannot judge this run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.model import OBJECTIVES, Finding, History, Primary, RoleMatch, Run, Series, Severity, State
from wandb_toolkit.roles import words_of

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray


# What counts the training's own steps, where the framework logs it; W&B's `_step` counts calls of log().
COUNTERS = ("global_step", "train/global_step", "trainer/global_step")
# Names that a loop of one's own gives its counter: they count where they stand beside the metrics themselves.
OWN_COUNTERS = ("iter", "iteration", "iterations", "step", "steps", "train_step", "train/step", "update", "n_updates")
EPOCHS = ("train/epoch", "epoch", "trainer/epoch")
_OF_EPISODES = re.compile(r"(^| )(episodes?|episodic|ep|returns?|eprewmean)( |$)")
_OF_ACTIONS = re.compile(r"(^| )(epsilon|exploration rate|q values?|q taken|qf\d? values?|td error)( |$)")
_ENVIRONMENT = ("env", "env_id", "env_name", "environment", "gym_id")  # keys of a config
SIBLINGS_MOST = 64  # compared with one run
# Of a loss, as detectors refuse it.
OBJECTIVE = "does not fall as training goes well: the objective of a policy, a value function or an adversary"
MAIN = "\0primary"  # the primary metric among a run's curves, which go by role


class NotApplicable(Exception):  # noqa: N818 - an answer, not an error
    """The detector cannot judge this run; the message says why."""


class NotAsked(NotApplicable):
    """What the detector compares with was not given: nobody wants to read that it could not judge."""


@dataclass(frozen=True)
class Curve:
    """The finite points of one metric, with the framework's sign undone."""

    metric: str
    x: FloatArray
    y: FloatArray
    logged: int  # points logged, the non-finite ones among them
    sign: int = 1
    kind: str = ""

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def noise(self) -> float:
        """The point-to-point scatter; 0 where too few points tell."""
        found = stats.noise(self.y)
        return found if found == found else 0.0

    @cached_property
    def trend(self) -> stats.Trend:
        """The course of the curve, without its scatter."""
        return stats.trend(self.x, self.y)

    @cached_property
    def first(self) -> float:
        """The level at its start, as tables say it."""
        return stats.edges(self.y)[0]

    @cached_property
    def final(self) -> float:
        """The level at its end, as tables say it."""
        return stats.edges(self.y)[1]

    @cached_property
    def median(self) -> float:
        """The middle of its values; NaN where it has none."""
        return stats.median(self.y)

    @cached_property
    def low(self) -> float:
        """The value that a twentieth of its points lie below; NaN where it has none."""
        return stats.quantile(self.y, 0.05)

    @cached_property
    def reach(self) -> float:
        """The level that the curve reaches: high in its range, beyond its outliers."""
        return float(np.quantile(self.trend.y, 0.8))

    @property
    def is_objective(self) -> bool:
        """Whether it is a loss whose level says nothing: a policy's, a value function's or an adversary's."""
        return self.kind in OBJECTIVES

    def step(self, index: int) -> int:
        """Return the x of a point, as the finding's onset."""
        return int(self.x[index])

    @property
    def sparkline(self) -> str:
        """The curve in at most 40 characters, as logged."""
        return stats.sparkline(self.y * self.sign)


def curve_of(series: Series, match: RoleMatch | None = None) -> Curve:
    """Return the finite points of a series; `match` tells the sign."""
    x, y = stats.finite(series.x, series.value)
    sign, kind = (match.sign, match.kind) if match else (1, "")
    return Curve(series.name, x, y * sign if sign != 1 else y, len(series), sign, kind)


@dataclass(frozen=True)
class Sibling:
    """Another run of the same project, as far as detectors need it."""

    id: str
    name: str
    state: State
    curves: Mapping[str, Curve] = field(default_factory=dict)  # by role
    primary: Curve | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def known(self) -> dict[str, Curve]:
        """Return the run's own curves, as its `RunView` keeps them."""
        return {**self.curves, **({MAIN: self.primary} if self.primary is not None else {})}

    @cached_property
    def sound(self) -> bool:
        """Whether the run is fit to be a yardstick: it did not end badly, and what it depends on stayed finite.

        Nor may its training loss have ended far above its first value.
        """
        depends = ("loss", "grad_norm", "kl", "entropy", "eval_loss")
        whole = all(curve.logged == len(curve) for role, curve in self.curves.items() if role in depends)
        return self.state in ("finished", "running") and whole and not self._lost

    @property
    def _lost(self) -> bool:
        loss = self.curves.get("loss")
        if loss is None or len(loss) < 4 or loss.is_objective or "reward" in self.curves or loss.y[0] <= 0:
            return False
        first, end = float(loss.y[0]), float(np.median(loss.y[-max(3, len(loss) // 10) :]))
        return end > 1.5 * first or (end > 0.8 * first and int((loss.y > 3 * first).sum()) >= 3)


def sibling_of(run: Run, history: History, roles: Mapping[str, RoleMatch], primary: Primary | None = None) -> Sibling:
    """Return what the other runs' detectors may know of this run."""
    curves = {role: curve_of(history[m.metric], m) for role, m in roles.items() if m.metric in history}
    main = history.get(primary.metric) if primary else None
    return Sibling(run.id, run.name, run.state, curves, curve_of(main) if main is not None else None, run.config)


@dataclass(frozen=True)
class RunView:
    """One run as its detectors see it."""

    run: Run
    history: History
    roles: Mapping[str, RoleMatch]
    siblings: tuple[Sibling, ...] = ()  # the other runs of the project, this one not among them
    log_tail: tuple[str, ...] = ()  # last lines of the console
    primary: Primary | None = None
    now: datetime | None = None  # when the run is looked at; None: silence is not judged
    baseline: tuple[Sibling, ...] = ()  # runs that are known to be good
    _curves: dict[str, Curve] = field(default_factory=dict, repr=False, compare=False)
    _relatives: dict[tuple[str, str, bool], list[Curve]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def updates_policy(self) -> bool:
        """Whether what is logged tells of a policy's updates, whatever it says of its reward."""
        signs = ("clip_fraction", "importance_ratio", "policy_std", "kl", "reward_std", "advantage_std")
        own = "loss" in self.roles and self.roles["loss"].kind == "policy"
        return own or sum(self.has(role) for role in signs) >= 2

    @cached_property
    def about_policy(self) -> bool:
        """Whether a policy or its value is being trained, whose loss need not fall.

        There is a return of episodes, or a reward with a sign of policy optimisation beside it: a role of one, a metric
        of exploration or action values, or an environment in the config.
        """
        if self.has("reward") and _OF_EPISODES.search(words_of(self.roles["reward"].metric)):
            return True
        signs = ("kl", "entropy", "clip_fraction", "reward_std", "advantage_std", "importance_ratio", "policy_std")
        if not self.has("reward"):
            return False
        acts = any(_OF_ACTIONS.search(words_of(name)) for name in self.history.series)
        return acts or any(self.has(role) for role in signs) or any(self.run.config.get(key) for key in _ENVIRONMENT)

    def relatives(self, role: str, curve: Curve, *, learning: bool = False) -> list[Curve]:
        """Return the sound siblings' curves of the same metric, of at least half its length ("primary" is a role).

        `learning`: without those whose reward gained nothing beside the others', where any gained something. Of very
        many, every n-th: what is asked of them is a median.
        """
        key = (role, curve.metric, learning)
        if key not in self._relatives:
            still = self.standing if learning else frozenset()
            found = [
                other
                for sibling in self.siblings
                if sibling.sound and sibling.id not in still
                if (other := sibling.primary if role == "primary" else sibling.curves.get(role)) is not None
                if other.metric == curve.metric and len(other) >= 4 and other.x[-1] >= 0.5 * curve.x[-1]
            ]
            self._relatives[key] = found[:: -(-len(found) // SIBLINGS_MOST) or 1]
        return self._relatives[key]

    @cached_property
    def standing(self) -> frozenset[str]:
        """The ids of siblings whose reward gained less than a fifth of what the one that gained most did."""
        gains = {
            sibling.id: reward.trend.end - reward.trend.start
            for sibling in self.siblings
            if (reward := sibling.curves.get("reward")) is not None and len(reward) >= 4
        }
        most = max(gains.values(), default=0.0)
        return frozenset(id_ for id_, gain in gains.items() if most > 0 and gain < 0.2 * most)

    def has(self, role: str) -> bool:
        """Whether some metric with numeric points plays the role."""
        return role in self.roles and self.roles[role].metric in self.history

    def series(self, role: str) -> Series:
        """Return the role's points as logged.

        Raises:
            NotApplicable: no metric plays the role.
        """
        if not self.has(role):
            raise NotApplicable(f"no metric for the role {role}")
        return self.history[self.roles[role].metric]

    def curve(self, role: str, at_least: int = 1) -> Curve:
        """Return the role's finite points.

        Raises:
            NotApplicable: no metric plays the role, or it has fewer than `at_least` points.
        """
        if role not in self._curves:
            self._curves[role] = curve_of(self.series(role), self.roles.get(role))
        return _long_enough(self._curves[role], at_least)

    def main(self, at_least: int = 1) -> Curve:
        """Return the primary metric's finite points.

        Raises:
            NotApplicable: there is no primary metric, or it has fewer than `at_least` points.
        """
        if self.primary is None:
            raise NotApplicable("no primary metric")
        if self.primary.metric not in self.history:
            raise NotApplicable(f"the run has no {self.primary.metric}")
        if MAIN not in self._curves:
            self._curves[MAIN] = curve_of(self.history[self.primary.metric])
        return _long_enough(self._curves[MAIN], at_least)

    @cached_property
    def last_step(self) -> int | None:
        """The last step at which anything was logged."""
        ends = [float(s.x[-1]) for s in self.history.series.values() if len(s) and s.axis == "_step"]
        return max([int(max(ends)), self.run.steps or 0]) if ends else self.run.steps


def _long_enough(curve: Curve, at_least: int) -> Curve:
    if len(curve) < at_least:
        points = f"{len(curve)} point{'' if len(curve) == 1 else 's'}"
        raise NotApplicable(f"only {points} of {curve.metric}, needs {at_least}")
    return curve


Check: TypeAlias = Callable[[RunView], Finding | None]


About: TypeAlias = Literal["training", "process", "state"]


@dataclass(frozen=True)
class Detector:
    """One diagnosis, declared here and nowhere else: what it is called, what it needs, what follows from it.

    Labels, folding, the lens of reinforcement learning, marks in a ranking, docs/diagnoses.md, the schema's ids and the
    benchmark's list are all read from this. What to try when it is found stands in experiments.toml, by its id.
    """

    id: str
    title: str
    severity: Severity  # of its finding; "good" detectors look for what goes well
    roles: tuple[str, ...]  # all of them are needed
    check: Check
    label: str  # what it is called inside a sentence
    needs: str = ""  # what it needs besides `roles`, for the page of diagnoses
    lens: tuple[str, ...] = ()  # the roles that it judges in the summary of reinforcement learning
    explains: tuple[str, ...] = ()  # diagnoses that are its consequence where both are found
    if_first: tuple[str, ...] = ()  # those of them that it explains only where their onset is no earlier than its own
    follows: tuple[str, ...] = ()  # diagnoses that explain it: the same, told from the other side
    takes_back: tuple[str, ...] = ()  # praise that is none beside it, even where the two share no metric
    about: About = "training"  # "process": how it ran; "state": how it ended
    mark: str = ""  # why such a run is never called best; "": it may be
    mark_on: str = ""  # only where runs are ranked by the metric of this role; "": always
    calm: bool = False  # praise that leaves room for larger steps
    learning: bool = False  # praise that shows that something was learned: without any, no run is called good
    final: bool = False  # nothing that comes later mends it
    passing: bool = False  # often gone again by the end of labelled runs (docs/diagnoses.md): no reason to stop at once

    def __call__(self, view: RunView) -> Finding | None:
        """Return the finding, None when there is none.

        Raises:
            NotApplicable: the run cannot be judged.
        """
        for role in self.roles:
            view.series(role)
        return self.check(view)


DETECTORS: dict[str, Detector] = {}


def detector(
    id_: str,
    title: str,
    severity: Severity,
    roles: tuple[str, ...] = (),
    *,
    label: str = "",
    needs: str = "",
    lens: tuple[str, ...] = (),
    explains: tuple[str, ...] = (),
    if_first: tuple[str, ...] = (),
    follows: tuple[str, ...] = (),
    takes_back: tuple[str, ...] = (),
    about: About = "training",
    mark: str = "",
    mark_on: str = "",
    calm: bool = False,
    learning: bool = False,
    final: bool = False,
    passing: bool = False,
) -> Callable[[Check], Check]:
    """Enter the decorated function into the registry, at its end. The arguments are `Detector`'s."""

    def register(check: Check) -> Check:
        if id_ in DETECTORS:
            raise ValueError(f"two detectors are called {id_}")
        DETECTORS[id_] = Detector(
            id_, title, severity, roles, check, label or id_.replace("_", " "), needs, lens, explains, if_first,
            follows, takes_back, about, mark, mark_on, calm, learning, final, passing,
        )  # fmt: skip
        return check

    return register
