"""Runs written by the real wandb SDK, offline: what is logged (`CALLS` ...), and the process that logs it.

python tests/sdk_runs.py SCENARIO FOLDER
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROJECT = "oracle"
NAN, INF = float("nan"), float("inf")
LONG_NAME = "long/" + "n" * 200
LONG_TEXT = "word " * 60

# (the step that it must arrive at, what is logged, how)
CALLS: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
    (0, {"loss": 2.5, "count": 1, "flag": True}, {}),
    (1, {"loss": NAN, "limit": INF, "flag": False}, {}),
    (2, {"loss": -INF}, {"commit": False}),
    (2, {"accuracy": 0.125}, {}),
    (3, {"nested": {"x": 1.5, "deep": {"y": 2, "text": "in"}}, "a.b": 4, "b": 5}, {}),
    (4, {"text": "word", "long text": LONG_TEXT, "none": None, "list": [1, 2.5, 3], "mixed": 1}, {}),
    (5, {"train/löss": 0.1, "with space": 0.2, 'quo"te': 0.3, "back\\slash": 0.4, "a/b/c": 0.5, "日本": 0.6}, {}),
    (6, {LONG_NAME: 7.0, "mixed": "word", "none": 3}, {}),
    (10, {"loss": 1.0}, {"step": 10}),
    (10, {"late": 1.0}, {"step": 10}),
    (20, {"loss": 0.5, "count": 2**53, "tiny": 5e-324, "large": 1.7976931348623157e308, "third": 1 / 3}, {"step": 20}),
    (21, {"loss": 0.25, "count": -(2**53), "mixed": 2}, {"step": 21}),
]
IMAGES_AT, TABLE_AT, HISTOGRAM_AT = 22, 23, 24
CONFIG = {"lr": 0.001, "model": {"layers": [1, 2], "name": "tiny"}, "value": {"value": 3}, "bad": NAN, "big": 2**53}
UPDATES = {"lr": 0.01, "added": True, "none": None}
CONSOLE = ["first line", "progress 10%\rprogress 100%", "\x1b[31mred\x1b[0m last line"]
AXES = [("loss", {"step_metric": "tokens"}), ("eval/*", {"step_metric": "epoch"}), ("accuracy", {"summary": "max"})]
FIRST_STEPS, SECOND_STEPS = range(10), range(7, 15)  # of the run that was resumed: three steps twice
KILLED_ROWS, KILLED_KEYS = 600, 8


def killed_row(step: int) -> dict[str, float]:
    """Return what the killed run logs at a step."""
    return {f"group/metric_{key}": step * 1.25 + key for key in range(KILLED_KEYS)}


def values(init: Any) -> None:
    """Every kind of value, config updates, names and console output."""
    import numpy as np
    import wandb

    run = init(
        id="values01",
        name="every kind of value",
        entity="someone",
        notes="a note\nof two lines",
        tags=["tag one", "tag,two"],
        group="kinds",
        job_type="train",
        config=CONFIG,
        settings=wandb.Settings(x_stats_sampling_interval=0.1),
    )
    for line in CONSOLE:
        print(line, flush=True)
    for _, data, how in CALLS:
        run.log(data, **how)
    run.config.update(UPDATES, allow_val_change=True)
    run.config.update({"model": {"layers": [3], "name": "tiny"}}, allow_val_change=True)
    picture = np.zeros((4, 6, 3), dtype=np.uint8)
    run.log({"image": wandb.Image(picture, caption="black")}, step=IMAGES_AT)
    run.log({"images": [wandb.Image(picture), wandb.Image(picture + 9)]}, step=IMAGES_AT)
    run.log({"deep": {"image": wandb.Image(picture + 7), "number": 1.0}}, step=IMAGES_AT)
    run.log({"table": wandb.Table(columns=["a", "b"], data=[[1, "x"]])}, step=TABLE_AT)
    run.log({"histogram": wandb.Histogram([1, 2, 3])}, step=HISTOGRAM_AT)
    run.summary["best"] = 0.75
    run.summary.update({"extra": {"x": 1}})
    time.sleep(0.5)  # for a sample of the system metrics
    run.finish()


def resumed_first(init: Any) -> None:
    """The first part of a resumed run, with x axes of its own; ends with exit code 3."""
    run = init(id="resumed1", name="before", config={"lr": 1, "only_first": 1})
    for name, how in AXES:
        run.define_metric(name, **how)
    for step in FIRST_STEPS:
        run.log({"loss": 1.0 + step, "tokens": step * 100, "accuracy": -abs(step - 4), "eval/f1": 0.5, "epoch": step})
    run.finish(exit_code=3)


def resumed_second(init: Any) -> None:
    """The same id again, its steps overlapping the first part's."""
    run = init(id="resumed1", name="after", config={"lr": 2}, resume="allow")
    for step in SECOND_STEPS:
        run.log({"loss": 100.0 + step, "tokens": step * 100}, step=step)
    run.finish()


def raised(init: Any) -> None:
    """An exception ends the process."""
    run = init(id="raised01")
    run.log({"loss": 1.0})
    raise RuntimeError("on purpose")


def killed(init: Any) -> None:
    """The whole process group is killed while it logs."""
    run = init(id="killed01")
    for step in range(KILLED_ROWS):
        run.log(killed_row(step))
    time.sleep(0.5)
    run.log(killed_row(KILLED_ROWS))
    os.killpg(0, signal.SIGKILL)


def tables(init: Any) -> None:
    """A table with images, logged twice, and one that is only in an artifact."""
    import numpy as np
    import wandb

    run = init(id="tables01")
    for step in (0, 5):
        rows = [[at, wandb.Image(np.full((4, 4, 3), 40 * at + step, np.uint8), caption=f"c{at}")] for at in range(3)]
        run.log({"eval/samples": wandb.Table(columns=["i", "img"], data=rows)}, step=step)
    artifact = wandb.Artifact("answers", "dataset")
    artifact.add(wandb.Table(columns=["q", "a"], data=[["why", 42], ["who", None]]), "qa")
    run.log_artifact(artifact)
    run.finish()


SCENARIOS = {
    "values": values,
    "resumed_first": resumed_first,
    "resumed_second": resumed_second,
    "raised": raised,
    "killed": killed,
    "tables": tables,
}


def main(scenario: str, folder: str) -> None:
    """Write one scenario's run below `folder`."""
    import wandb

    def init(**how: Any) -> Any:
        settings = how.pop("settings", None) or wandb.Settings(x_disable_stats=True)
        return wandb.init(mode="offline", project=PROJECT, dir=folder, settings=settings, **how)

    SCENARIOS[scenario](init)


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a process that logs, with nobody's home but its own."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_DISABLE_GIT": "true",
        "PYTHONWARNINGS": "ignore",
    }


def write_all(folder: Path) -> None:
    """Write the runs of all scenarios but `tables` into ``folder/wandb``, several at once; nothing is sent anywhere."""
    home = folder / "home"
    home.mkdir(parents=True)
    env = environment(home)
    # What takes longest comes first.
    chains = [["values"], ["resumed_first", "resumed_second"], ["raised", "killed"]]

    def start(scenario: str) -> subprocess.Popen[bytes]:
        with (folder / f"{scenario}.txt").open("wb") as output:
            words = [sys.executable, __file__, scenario, str(folder)]
            return subprocess.Popen(words, env=env, stdout=output, stderr=output, start_new_session=True)

    running = [(chain, start(chain[0])) for chain in chains]
    while running:
        chain, process = running.pop(0)
        process.wait(timeout=120)
        expected = {"raised": 1, "killed": -signal.SIGKILL, "resumed_first": 0}.get(chain[0], 0)
        if process.returncode != expected:
            raise RuntimeError(f"{chain[0]}: {process.returncode}\n{(folder / f'{chain[0]}.txt').read_text()}")
        if chain[1:]:
            running.append((chain[1:], start(chain[1])))


if __name__ == "__main__":
    main(*sys.argv[1:])
