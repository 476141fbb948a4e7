"""The trainings themselves, one function a framework. Each logs as its users do, offline."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.trainings import deep

if TYPE_CHECKING:
    from benchmarks.trainings.plans import Plan
    from numpy.typing import NDArray

Settings = dict[str, Any]
Split = tuple["NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]  # x to train on and held out, then y

# Project → the metrics that a run is rightly ranked by, and which way is better where they agree.
PRIMARY: Mapping[str, tuple[tuple[str, ...], str | None]] = {
    "xgboost": (("val-auc", "val-logloss"), None),
    "lightgbm": (("valid_multi_logloss", "valid_multi_error"), "min"),
    "sklearn": (("val/accuracy", "val/loss", "val/f1"), None),
    "sklearn-rare": (("val/accuracy", "val/loss", "val/f1"), None),
    "torch": (("val/accuracy", "val/loss"), None),
    "transformers": (("eval/loss",), "min"),
    "stable-baselines3": (("rollout/ep_rew_mean",), "max"),
}


def train(plan: Plan, output: Path) -> Path:
    """Train what a plan says below ``output/PROJECT`` and return the run's directory."""
    folder = output.resolve() / plan.project
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    import wandb

    warnings.filterwarnings("ignore")
    settings: Settings = {**DEFAULTS[plan.project], **plan.settings}
    run = wandb.init(
        project=plan.project,
        name=plan.variant,
        dir=str(folder),
        config=settings,
        sync_tensorboard=plan.project == "stable-baselines3",  # it logs through TensorBoard only
    )
    TRAININGS[plan.project](run, settings)
    place = Path(run.dir).parent
    run.finish()
    return place


def _split(x: NDArray[Any], y: NDArray[Any], settings: Settings) -> Split:
    """Return the data cut in two, with as many labels of the training part drawn anew as `noise` says, and `rows`."""
    from sklearn.model_selection import train_test_split

    rng = np.random.default_rng(settings["seed"])
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=settings["seed"])
    noisy = rng.random(len(y_train)) < settings.get("noise", 0.0)
    y_train = np.where(noisy, rng.permutation(y_train), y_train)
    rows = settings.get("rows") or len(y_train)
    return x_train[:rows], x_test, y_train[:rows], y_test


def _digits() -> tuple[NDArray[Any], NDArray[Any]]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16.0).astype(np.float32), y


def _xgboost(_: Any, settings: Settings) -> None:
    import xgboost as xgb
    from sklearn.datasets import make_classification
    from wandb.integration.xgboost import WandbCallback

    x, y = make_classification(1200, 20, n_informative=8, flip_y=0.03, class_sep=0.8, random_state=7)
    x_train, x_test, y_train, y_test = _split(x, y, settings)
    known = {name: settings[name] for name in ("eta", "max_depth", "gamma", "seed")}
    parameters = {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "nthread": 1, **known}
    data, held_out = xgb.DMatrix(x_train, y_train), xgb.DMatrix(x_test, y_test)
    xgb.train(
        parameters,
        data,
        settings["rounds"],
        evals=[(data, "train"), (held_out, "val")],
        callbacks=[WandbCallback()],
        verbose_eval=False,
    )


def _lightgbm(_: Any, settings: Settings) -> None:
    import lightgbm as lgb
    from wandb.integration.lightgbm import wandb_callback

    x_train, x_test, y_train, y_test = _split(*_digits(), settings)
    known = {name: settings[name] for name in ("learning_rate", "num_leaves", "seed")}
    parameters = {
        "objective": "multiclass",
        "num_class": 10,
        "metric": ["multi_logloss", "multi_error"],
        "num_threads": 1,
        "verbosity": -1,
        **known,
    }
    data = lgb.Dataset(x_train, y_train)
    held_out = lgb.Dataset(x_test, y_test, reference=data)
    names = ["training", "valid"]
    lgb.train(parameters, data, settings["rounds"], [data, held_out], names, callbacks=[wandb_callback()])


def _sklearn(run: Any, settings: Settings) -> None:
    from sklearn.datasets import make_classification
    from sklearn.metrics import accuracy_score, f1_score, log_loss
    from sklearn.neural_network import MLPClassifier

    if settings["task"] == "digits":
        x, y = _digits()
    else:
        rare = settings["task"] == "rare"
        x, y = make_classification(
            2000,
            20,
            n_informative=5,
            weights=[0.97] if rare else None,
            class_sep=0.4 if rare else 1.0,
            flip_y=0.02,
            random_state=3,
        )
    x_train, x_test, y_train, y_test = _split(x, y, settings)
    classes = np.unique(y)
    model = MLPClassifier(
        (settings["hidden"],),
        solver=settings["optimizer"],
        learning_rate_init=settings["lr"],
        momentum=settings["momentum"],
        random_state=settings["seed"],
    )
    rng = np.random.default_rng(settings["seed"])
    for epoch in range(settings["epochs"]):
        order = rng.permutation(len(x_train))
        for start in range(0, len(order), settings["batch_size"]):
            batch = order[start : start + settings["batch_size"]]
            model.partial_fit(x_train[batch], y_train[batch], classes=classes)
        train_p, test_p = (np.nan_to_num(model.predict_proba(part)) for part in (x_train, x_test))
        said = classes[test_p.argmax(axis=1)]
        run.log(
            {
                "epoch": epoch,
                "train/loss": log_loss(y_train, train_p, labels=classes),
                "val/loss": log_loss(y_test, test_p, labels=classes),
                "val/accuracy": accuracy_score(y_test, said),
                "val/f1": f1_score(y_test, said, average="macro" if len(classes) > 2 else "binary"),
            }
        )


def _torch(run: Any, settings: Settings) -> None:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(settings["seed"])
    x_train, x_test, y_train, y_test = (torch.from_numpy(np.asarray(part)) for part in _split(*_digits(), settings))
    model = nn.Sequential(nn.Linear(64, settings["hidden"]), nn.ReLU(), nn.Linear(settings["hidden"], 10))
    if settings["bias"]:
        nn.init.constant_(model[0].bias, settings["bias"])
    if settings["frozen"]:
        model.requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=settings["lr"], momentum=0.9)
    step = 0
    for epoch in range(settings["epochs"]):
        order = torch.randperm(len(x_train))
        for start in range(0, len(order), settings["batch_size"]):
            batch = order[start : start + settings["batch_size"]]
            loss = nn.functional.cross_entropy(model(x_train[batch]), y_train[batch])
            if settings["nan_at"] and step >= settings["nan_at"]:
                loss = loss * float("nan")
            if settings["jump_at"] and step == settings["jump_at"]:
                for group in optimizer.param_groups:
                    group["lr"] *= settings["jump"]
            row = {"train/loss": loss.item(), "train/lr": optimizer.param_groups[0]["lr"], "epoch": epoch}
            if not settings["frozen"]:
                optimizer.zero_grad()
                loss.backward()
                row["train/grad_norm"] = nn.utils.clip_grad_norm_(model.parameters(), 1e9).item()
                optimizer.step()
            step += 1
            if step % 5 == 0:
                run.log(row)
        with torch.no_grad():
            scores = model(x_test)
            loss = nn.functional.cross_entropy(scores, y_test).item()
            run.log(
                {"val/loss": loss, "val/accuracy": (scores.argmax(1) == y_test).float().mean().item(), "epoch": epoch}
            )


_SKLEARN: Settings = {
    "lr": 0.01,
    "momentum": 0.9,
    "epochs": 60,
    "hidden": 32,
    "seed": 0,
    "optimizer": "sgd",
    "batch_size": 32,
    "task": "digits",
}
DEFAULTS: Mapping[str, Settings] = {
    "xgboost": {"eta": 0.1, "max_depth": 4, "gamma": 0, "seed": 0, "rounds": 100},
    "lightgbm": {"learning_rate": 0.08, "num_leaves": 15, "seed": 0, "rounds": 50},
    "sklearn": _SKLEARN,
    "sklearn-rare": _SKLEARN,
    "torch": {
        "lr": 0.05,
        "epochs": 15,
        "hidden": 64,
        "seed": 0,
        "batch_size": 32,
        "frozen": 0,
        "bias": 0.0,
        "nan_at": 0,
        "jump_at": 0,
        "jump": 1.0,
    },
    "transformers": deep.LANGUAGE,
    "stable-baselines3": deep.POLICY,
}
TRAININGS: Mapping[str, Callable[[Any, Settings], None]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "sklearn": _sklearn,
    "sklearn-rare": _sklearn,
    "torch": _torch,
    "transformers": deep.language,
    "stable-baselines3": deep.ppo,
}
