"""Made projects and claims about them whose verdict is known: what people write, right and wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from curves import run
from fake_source import FakeSource
from wandb_toolkit.claims.claim import Verdict
from wandb_toolkit.model import History, Run, Series

METRICS = ("eval/accuracy", "train/loss", "eval/return")
CONFIGS = ("base", "wide-net", "low_lr")
SEEDS = 3
STEPS = 120


@dataclass
class World:
    """Three configurations of three seeds; best and last differ in every run."""

    rng: np.random.Generator
    source: FakeSource
    by_name: dict[str, tuple[Run, History]]

    def values(self, name: str, metric: str) -> np.ndarray:
        return self.by_name[name][1][metric].value

    def last(self, name: str, metric: str) -> float:
        return float(self.values(name, metric)[-1])

    def best(self, name: str, metric: str) -> float:
        found = self.values(name, metric)
        return float(found.min() if metric == "train/loss" else found.max())

    def seeds(self, config: str) -> list[str]:
        return [f"{config}-s{seed}" for seed in range(SEEDS)]


def world(seed: int) -> World:
    """Return a project."""
    rng = np.random.default_rng(seed)
    content: list[tuple[Run, History]] = []
    for at, config in enumerate(CONFIGS):
        for number in range(SEEDS):
            settings = {"lr": 0.1 / (at + 1), "width": 64 * (at + 1), "seed": number}
            made = replace(run(name=f"{config}-s{number}"), id=f"{'abc'[at]}{number}x{seed:04d}", config=settings)
            content.append((made, _history(rng, at)))
    return World(rng, FakeSource(list(content)), {made.name: (made, history) for made, history in content})


def _history(rng: np.random.Generator, at: int) -> History:
    part = np.linspace(0, 1, STEPS)
    rise = 1 - np.exp(-5 * part)
    peak = int(rng.integers(70, 110))
    accuracy = (0.62 + 0.09 * at + rng.normal(0, 0.02)) * rise + rng.normal(0, 0.004, STEPS)
    accuracy[peak] += 0.05
    loss = 2.4 - 0.3 * at + rng.normal(0, 0.08) - 1.2 * rise + rng.normal(0, 0.01, STEPS)
    loss[peak] -= 0.12
    returns = (2100 + 900 * at + rng.normal(0, 90)) * rise + rng.normal(0, 12, STEPS)
    returns[peak] += 260
    x = np.arange(STEPS, dtype=np.float64) * 10
    series = {name: Series(name, x, y) for name, y in zip(METRICS, (accuracy, loss, returns), strict=True)}
    return History(series, dict.fromkeys(METRICS, "number"), STEPS)


def written(rng: np.random.Generator, value: float, metric: str, spread: float | None = None, *, latex: bool) -> str:
    """Return a number as people write it: percent, thousands, bold, a formula, ±."""
    style = int(rng.integers(0, 4))
    percent = metric == "eval/accuracy" and rng.random() < 0.6
    shown = value * 100 if percent else value
    digits = 0 if metric == "eval/return" else 2 if percent else 4
    core = f"{shown:,.{digits}f}" if rng.random() < 0.7 or metric != "eval/return" else f"{shown:.{digits}f}"
    if latex and "," in core and style < 2:
        core = core.replace(",", "{,}" if style else "\\,")
    sign = "\\%" if latex else "%"
    tail = ""
    if spread is not None:
        tail = f"{spread * 100 if percent else spread:.{digits}f}"
        plus = " \\pm " if latex or style == 2 else " ± " if style else " +/- "
        core = f"${core}{plus}{tail}$" if latex or style == 2 else f"{core}{plus}{tail}"
    end = sign if percent and rng.random() < 0.8 else " %" if percent and not latex else sign if percent else ""
    if style == 3 and spread is None:
        return f"\\textbf{{{core}}}{end}" if latex else f"**{core}**{end}"
    return core + end


@dataclass
class Planted:
    """A sentence, a row or an element of a list with one claim, and its verdict."""

    text: str
    verdict: Verdict
    name: str  # of the kind


Maker = Callable[[World, bool], tuple[str, str, str, Verdict]]  # number, run, what the mark asks for, verdict


def _pick(w: World) -> tuple[str, str, str]:
    config = str(w.rng.choice(CONFIGS))
    return config, f"{config}-s{w.rng.integers(0, SEEDS)}", str(w.rng.choice(METRICS))


def _last(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    _, name, metric = _pick(w)
    return written(w.rng, w.last(name, metric), metric, latex=latex), name, f"{metric} last", "confirmed"


def _best(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    _, name, metric = _pick(w)
    return written(w.rng, w.best(name, metric), metric, latex=latex), name, f"{metric} best", "confirmed"


def _mean(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    config, _, metric = _pick(w)
    values = np.array([w.last(one, metric) for one in w.seeds(config)])
    number = written(w.rng, float(values.mean()), metric, float(values.std(ddof=1)), latex=latex)
    return number, f"{config}-s*", f"{metric} last", "confirmed"


def _too_far(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    """A number whose last digit was moved by one, or that has zeros in place of digits."""
    _, name, _ = _pick(w)
    metric = str(w.rng.choice(METRICS[:2]))
    value = w.last(name, metric)
    down = np.floor(value * 100)
    part = value * 100 - down
    if abs(part - 0.5) < 0.05 or part < 0.05 or part > 0.95:  # close to a half or to the number itself
        return f"{round(value, 2):.2f}00", name, f"{metric} last", "rounded_too_far"
    other = int(down if part > 0.5 else down + 1)
    percent = "\\%" if latex else "%"
    text = f"{other}{percent}" if metric == "eval/accuracy" else f"{other / 100:.2f}"
    return text, name, f"{metric} last", "rounded_too_far"


def _peak(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    _, name, metric = _pick(w)
    return written(w.rng, w.best(name, metric), metric, latex=latex), name, f"{metric} final", "best_as_final"


def _lucky(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    config, name, metric = _pick(w)
    return written(w.rng, w.last(name, metric), metric, latex=latex), f"{config}-s*", f"{metric} last", "one_seed"


def _invented(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    _, name, metric = _pick(w)
    value = w.last(name, metric) * w.rng.uniform(1.4, 1.5 if metric == "eval/accuracy" else 3)
    if metric == "train/loss":
        value += 3
    return written(w.rng, value, metric, latex=latex), name, f"{metric} last", "not_in_any_run"


def _nameless(w: World, latex: bool) -> tuple[str, str, str, Verdict]:
    _, name, metric = _pick(w)
    number = written(w.rng, w.last(name, metric), metric, latex=latex)
    if w.rng.random() < 0.5:
        return number, f"{name}-gone", f"{metric} last", "not_decidable"
    return number, name, f"{metric}_gone last", "not_decidable"


KINDS: dict[str, Maker] = {
    "last": _last, "best": _best, "mean": _mean, "rounded": _too_far, "best as final": _peak, "one seed": _lucky,
    "invented": _invented, "unknown": _nameless,
}  # fmt: skip


def planted(kind: str, seed: int, *, latex: bool) -> tuple[World, Planted]:
    """Return a project and a marked claim about it."""
    w = world(seed)
    number, name, asked, verdict = KINDS[kind](w, latex)
    before = str(w.rng.choice(["It reaches", "The result is", "| a |", "Table 3: after 1200 steps,", f"`{name}` gets"]))
    seed_word = " (one seed)" if kind in ("last", "best", "rounded", "best as final", "invented") else ""
    if latex:
        before = before.replace("|", "&").replace("`", "").replace("_", "\\_")
        text = f"{before} {number}{seed_word} & % wandb: {name} {asked}\n"
    else:
        end = " |" if before.startswith("|") else ", which is good."
        text = f"{before} {number} <!-- wandb: {name} {asked} -->{seed_word}{end}\n"
    return w, Planted(text, verdict, kind)


PROSE = (
    "The run {name} ends with an eval accuracy of {acc:.4f}.",
    "`{name}` peaks at {best:.4f} eval/accuracy.",
    "{name} has a final train/loss of {loss:.3f}, and 3 others do not.",
    "We want {name} to get an eval accuracy of 0.9951, which it does not.",
    "The accuracy of {name} was 0.4312 before the bug was fixed.",
    "{name} beats the published eval/accuracy of 0.8765 by 1.25 points.",
    "With a learning rate of 0.0305 the train loss of {name} stays above 0.125.",
    "In {name}, eval accuracy improved from 0.1234 to {acc:.4f} (version 1.2.3, 2024-05-06).",
    "{config} ends at {mean:.4f} eval accuracy over 3 seeds.",
    "At least one seed of {config} reaches an eval accuracy of up to {best:.4f}.",
    "See Table 2.1: {name} and {other} end at {acc:.4f} and {acc2:.4f} eval/accuracy.",
    "{name} used 12.5 GB, ran 3.25 h, and has an eval/return of {ret:,.1f}.",
    "We report the final weights of {name}, at an eval accuracy of {best:.4f}.",
    "For {name} we kept the checkpoint with {best:.4f} eval/accuracy, not the last.",
    "The last checkpoint of {name} was not its best: {best:.4f} eval/accuracy came earlier.",
    "{config} gets, e.g., {acc:.4f} eval accuracy.",
    "Figure 2 shows {config} at {acc:.4f} eval accuracy.",
    "{name} (eval/accuracy {best:.4f}) is finally the model of choice.",
    "The final threshold for eval accuracy in {name} is {best:.4f}.",
)


def prose(seed: int) -> Iterator[tuple[World, str]]:
    """Yield sentences in which nothing is wrong."""
    for at, sentence in enumerate(PROSE):
        w = world(1000 * seed + at)
        config, name, _ = _pick(w)
        other = next(one for one in w.by_name if one != name)
        acc = "eval/accuracy"
        yield (
            w,
            sentence.format(
                name=name, config=config, other=other, acc=w.last(name, acc), acc2=w.last(other, acc),
                best=w.best(name, acc),
                loss=w.last(name, "train/loss"), ret=w.last(name, "eval/return"),
                mean=np.mean([w.last(one, acc) for one in w.seeds(config)]),
            ),
        )  # fmt: skip
