"""A run before it is written: noiseless curves, noise apart from them, and when each metric is logged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.diagnoses.families import Family
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(eq=False)
class Draft:
    """One run. Curves are by role, one value for each of the `n` rows; a family says which key logs a role."""

    family: Family
    rng: Generator
    n: int
    stride: int  # steps from row to row
    seconds: Floats  # that each row took
    clean: dict[str, Floats] = field(default_factory=dict)
    base: dict[str, Floats] = field(default_factory=dict)  # the same as if nothing were wrong
    noise: dict[str, Floats] = field(default_factory=dict)
    rows: dict[str, NDArray[np.int64]] = field(default_factory=dict)  # at which rows a role is logged; absent: at all
    raw: dict[str, Floats] = field(default_factory=dict)  # written in place of clean + noise (NaN, running averages)
    config: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Floats] = field(default_factory=dict)  # keys without a role
    ceiling: float = np.inf  # of the reward
    continuous: bool = False  # actions
    state: str = "finished"
    exit_code: int | None = 0
    silent_for: float = 0.0  # seconds since the last row, at the time of the report
    log: tuple[str, ...] = ()
    kind: str = "healthy"  # the trouble it was given
    hard: tuple[str, ...] = ()  # what makes a healthy run look sick
    bad_row: int | None = None  # first row with a NaN

    @property
    def part(self) -> Floats:
        """How far into the run each row is, 0 to 1."""
        return np.linspace(0, 1, self.n)

    @property
    def steps(self) -> NDArray[np.int64]:
        """The step of each row."""
        return (np.arange(self.n, dtype=np.int64) + self.family.first_row) * self.stride

    def at(self, role: str) -> NDArray[np.int64]:
        """Return the rows at which a role is logged."""
        return self.rows.get(role, np.arange(self.n))

    def curve(self, role: str) -> Floats:
        """Return the noiseless values at the rows where the role is logged."""
        return self.clean[role][self.at(role)]

    def scatter(self, role: str) -> float:
        """Return the noise of a role: its point-to-point scatter, robust to outliers."""
        noise = self.noise.get(role)
        if noise is None or len(self.at(role)) < 3:
            return 0.0
        return float(np.median(np.abs(np.diff(noise[self.at(role)]))) * 1.4826 / np.sqrt(2))

    def values(self, role: str) -> Floats:
        """Return what is logged."""
        if role in self.raw:
            return self.raw[role][self.at(role)]
        return (self.clean[role] + self.noise.get(role, 0.0))[self.at(role)]


def gaussian(rng: Generator, n: int, scale: float) -> Floats:
    """Return white noise."""
    return rng.normal(0, scale, n)


def wandering(rng: Generator, n: int, scale: float, memory: float) -> Floats:
    """Return noise that remembers its last value; `scale` is its standard deviation."""
    shocks = rng.normal(0, scale * np.sqrt(1 - memory**2), n)
    out = np.empty(n)
    last = rng.normal(0, scale)
    for i, shock in enumerate(shocks):
        last = memory * last + shock
        out[i] = last
    return out


def heavy(rng: Generator, n: int, scale: float) -> Floats:
    """Return noise with a heavy tail."""
    return np.clip(rng.standard_t(3, n), -12, 12) * scale


def some_noise(rng: Generator, n: int, scale: float) -> Floats:
    """Return noise of one of the kinds that logs have."""
    kind = rng.choice(["white", "white", "wandering", "heavy"])
    if kind == "white":
        return gaussian(rng, n, scale)
    if kind == "wandering":
        return wandering(rng, n, scale, rng.uniform(0.3, 0.8))
    return heavy(rng, n, scale * 0.7)


def saturating(part: Floats, rate: float) -> Floats:
    """Return an approach from 0 to almost 1."""
    out: Floats = (1 - np.exp(-rate * part)) / (1 - np.exp(-rate))
    return out


def power_law(part: Floats, start: float, exponent: float) -> Floats:
    """Return a power law's approach from 0 to 1, steep at first."""
    y = (part / start + 1) ** -exponent
    out: Floats = (1 - y) / (1 - y[-1])
    return out


def sigmoid(part: Floats, middle: float, width: float) -> Floats:
    """Return an S-shaped rise that begins at 0."""
    y = 1 / (1 + np.exp(-(part - middle) / width))
    out: Floats = (y - y[0]) / (1 - y[0])
    return out


def ramp(part: Floats, start: float, length: float) -> Floats:
    """Return 0 before `start`, 1 after `start + length`, smooth between."""
    t = np.clip((part - start) / max(length, 1e-9), 0, 1)
    return t * t * (3 - 2 * t)
