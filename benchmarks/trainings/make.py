"""Train a set with known faults, by real frameworks on CPU: python -m benchmarks.trainings.make [--output FOLDER]

scikit-learn, XGBoost, LightGBM, PyTorch, Hugging Face's Trainer and Stable-Baselines3 (the extra `benchmarks`) train on
data that comes with them or with Python, logged offline by W&B's SDK, where there is one through the framework's own
callback. Minutes; nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.trainings.plans import PLANS, Plan
from benchmarks.trainings.train import PRIMARY, train


def default_folder() -> Path:
    """Return where the set is made where nobody says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "wandb-toolkit-trainings")


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is not there yet, and write expected.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainings.make", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=default_folder(), help="the set's folder")
    parser.add_argument("--only", nargs="+", choices=sorted({plan.project for plan in PLANS}), help="these projects")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once")
    given = parser.parse_args(argv)
    expected = given.output / "expected.json"
    document = json.loads(expected.read_text()) if expected.is_file() else {"runs": {}}
    done = {(about["project"], about["variant"]) for about in document["runs"].values()}
    plans = [plan for plan in PLANS if (plan.project, plan.variant) not in done]
    plans = [plan for plan in plans if not given.only or plan.project in given.only]
    with ProcessPoolExecutor(given.jobs, max_tasks_per_child=1) as pool:
        folders = pool.map(train, plans, [given.output] * len(plans))
        for number, (plan, folder) in enumerate(zip(plans, folders, strict=True), 1):
            document["runs"][folder.relative_to(given.output).as_posix()] = _about(plan, folder)
            given.output.mkdir(parents=True, exist_ok=True)
            expected.write_text(json.dumps(document, indent=1) + "\n")
            print(f"{number} of {len(plans)}: {plan.project}/{plan.variant}", file=sys.stderr, flush=True)
    print(given.output)
    return 0


def _about(plan: Plan, folder: Path) -> dict[str, object]:
    metrics, direction = PRIMARY[plan.project]
    about = {name: value for name, value in asdict(plan).items() if name != "settings"}
    return {
        **about,
        "name": plan.variant,
        "id": folder.name.rsplit("-", 1)[1],
        "kind": "fault" if plan.label else "healthy",
        "cause": ", ".join(f"{name} {value}" for name, value in plan.settings.items()),
        "primary": list(metrics),
        "direction": direction,
    }


if __name__ == "__main__":
    raise SystemExit(main())
