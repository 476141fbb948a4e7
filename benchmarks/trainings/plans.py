"""Which trainings the set has: healthy ones with several seeds, and one for each fault.

A fault is what was done to the settings or the data; `diagnoses` are what a reader of the curves may rightly say of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

IDLE = (
    "no_learning",
    "plateau_early",
    "undertrained",
    "chance_level",
    "far_from_siblings",
    "metric_frozen",
    "no_signal",
    "grad_norm_vanishing",
)
WILD = (
    "loss_divergence",
    "loss_spike",
    "nan_or_inf",
    "no_learning",
    "chance_level",
    "primary_worse",
    "far_from_siblings",
    "metric_frozen",
    "plateau_early",
    "grad_norm_explosion",
    "no_signal",
    "overfitting",
)
OVERFIT = ("overfitting", "memorising")
POLICY_IDLE = (*IDLE, "kl_too_low", "primary_worse", "reward_collapse", "value_function_poor")
FEW_DATA = (*OVERFIT, "far_from_siblings")
SHORT = ("undertrained", "far_from_siblings", "plateau_early")


@dataclass(frozen=True)
class Plan:
    """One training."""

    project: str  # the framework, too
    variant: str
    settings: Mapping[str, float | int | str] = field(default_factory=dict)
    label: str | None = None  # the fault; None: healthy
    diagnoses: tuple[tuple[str, ...], ...] = ()
    also_true: tuple[str, ...] = ()


def _healthy(project: str, seeds: int, **settings: float | int | str) -> list[Plan]:
    return [Plan(project, f"healthy-s{seed}", {"seed": seed, **settings}) for seed in range(seeds)]


def _policies() -> list[Plan]:
    # 25,600 steps are few: such a policy is still learning at the end.
    healthy = _healthy("stable-baselines3", 3)
    return [Plan(plan.project, plan.variant, plan.settings, also_true=("undertrained",)) for plan in healthy]


PLANS: tuple[Plan, ...] = (
    *_healthy("xgboost", 4),
    Plan("xgboost", "rate-tiny", {"eta": 5e-5}, "learning rate far too low", (IDLE,)),
    Plan("xgboost", "no-splits", {"gamma": 1e5}, "no split is ever made", (IDLE,)),
    Plan(
        "xgboost",
        "noise-deep",
        {"max_depth": 12, "eta": 0.6, "noise": 0.25},
        "overfits noisy labels",
        (OVERFIT,),
        ("primary_worse",),
    ),
    Plan(
        "xgboost",
        "few-rows",
        {"rows": 60, "rounds": 200},
        "overfits 60 rows",
        (FEW_DATA,),
        ("primary_worse", "plateau_early"),
    ),
    Plan("xgboost", "few-rounds", {"rounds": 12, "eta": 0.03}, "stopped far too early", (SHORT,)),
    *_healthy("lightgbm", 4),
    Plan("lightgbm", "rate-tiny", {"learning_rate": 1e-5}, "learning rate far too low", (IDLE,)),
    Plan("lightgbm", "rate-huge", {"learning_rate": 5.0}, "learning rate far too high", (WILD,)),
    Plan(
        "lightgbm",
        "noise",
        {"noise": 0.4, "num_leaves": 63, "learning_rate": 0.3, "rounds": 150},
        "overfits noisy labels",
        (OVERFIT,),
        ("primary_worse",),
    ),
    *_healthy("sklearn", 4),
    Plan("sklearn", "rate-tiny", {"lr": 1e-7}, "learning rate far too low", (IDLE,)),
    Plan("sklearn", "rate-huge", {"lr": 3.0}, "learning rate far too high", (WILD,)),
    Plan(
        "sklearn",
        "labels-random",
        {"noise": 1.0, "hidden": 128, "optimizer": "adam", "lr": 0.002},
        "labels are random",
        ((*OVERFIT, "chance_level", "no_learning"),),
        ("primary_worse",),
    ),
    Plan(
        "sklearn",
        "labels-noisy",
        {"noise": 0.5, "hidden": 256, "optimizer": "adam", "lr": 0.003},
        "overfits noisy labels",
        (OVERFIT,),
        ("primary_worse",),
    ),
    Plan("sklearn", "few-epochs", {"epochs": 8, "lr": 2e-4}, "stopped far too early", (SHORT,)),
    *_healthy("sklearn-rare", 2, task="binary", optimizer="adam", lr=0.001, epochs=40),
    Plan(
        "sklearn-rare",
        "rare-class",
        {"task": "rare", "lr": 0.001, "epochs": 40},
        "the rare class is never predicted",
        (("class_imbalance",),),
        ("metric_frozen", "primary_worse", *SHORT),
    ),
    *_healthy("torch", 4),
    Plan("torch", "rate-tiny", {"lr": 1e-8}, "learning rate far too low", (IDLE,)),
    Plan("torch", "rate-huge", {"lr": 30.0}, "learning rate far too high", (WILD,)),
    Plan("torch", "frozen", {"frozen": 1}, "no parameter is trained", (IDLE,)),
    Plan("torch", "dead-relu", {"bias": -30.0}, "all units are dead from the start", (IDLE,)),
    Plan(
        "torch",
        "labels-noisy",
        {"noise": 0.6, "hidden": 512, "epochs": 60},
        "overfits noisy labels",
        (OVERFIT,),
        ("primary_worse",),
    ),
    Plan(
        "torch",
        "few-rows",
        {"rows": 40, "hidden": 512, "epochs": 120},
        "overfits 40 rows",
        (FEW_DATA,),
        ("primary_worse", "plateau_early", "far_from_siblings"),
    ),
    Plan("torch", "turns-nan", {"nan_at": 300}, "the loss becomes NaN", (("nan_or_inf",),), WILD),
    Plan("torch", "rate-jumps", {"jump_at": 400, "jump": 300.0}, "the learning rate jumps", (WILD,)),
    Plan("torch", "few-epochs", {"epochs": 2, "lr": 0.002}, "stopped far too early", (SHORT,)),
    *_healthy("transformers", 3),
    Plan("transformers", "rate-tiny", {"learning_rate": 1e-8}, "learning rate far too low", (IDLE,)),
    Plan(
        "transformers",
        "rate-huge",
        {"learning_rate": 1.0, "max_grad_norm": 1e9},
        "learning rate far too high",
        (WILD,),
    ),
    Plan(
        "transformers",
        "few-blocks",
        {"blocks": 40, "learning_rate": 5e-3},
        "overfits 40 blocks of text",
        (FEW_DATA,),
        ("primary_worse",),
    ),
    Plan(
        "transformers",
        "warmup-endless",
        {"warmup_steps": 100_000},
        "the warm-up is longer than the run",
        (("lr_schedule_mismatch", *SHORT),),
    ),
    *_policies(),
    Plan("stable-baselines3", "rate-tiny", {"learning_rate": 1e-8}, "learning rate far too low", (POLICY_IDLE,)),
    Plan(
        "stable-baselines3",
        "rate-huge",
        {"learning_rate": 0.3, "max_grad_norm": 1e9},
        "learning rate far too high",
        ((*POLICY_IDLE, "entropy_collapse", "reward_collapse", "kl_spike", "kl_runaway", *WILD),),
    ),
    Plan("stable-baselines3", "gamma-0", {"gamma": 0.0}, "rewards to come do not count", (POLICY_IDLE,)),
)
