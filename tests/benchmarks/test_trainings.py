"""The benchmark of real trainings: a set is counted right, and its plans name diagnoses that there are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wandb_runs as logs
from repository import ROOT
from wandb_toolkit.detectors import DETECTORS

sys.path.insert(0, str(ROOT))


def about(run_id: str, kind: str, diagnoses: list[list[str]]) -> dict[str, Any]:
    names = dict.fromkeys(("name", "id", "variant"), run_id)
    known = {"also_true": [], "primary": ["eval/accuracy"], "direction": "max"}
    label = "NaN" if diagnoses else None
    return {"project": "p", **names, "kind": kind, "label": label, "diagnoses": diagnoses, **known}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs that learn and one whose loss turns NaN; one more that nothing is known of."""
    rng = np.random.default_rng(0)
    runs = {}
    for run_id, kind in (
        ("aaaa1111", "healthy"),
        ("bbbb2222", "healthy"),
        ("cccc3333", "fault"),
        ("dddd4444", "dropped"),
    ):
        gain = 1 - np.exp(-np.arange(120) / 30)
        loss = 2 - 1.5 * gain + rng.normal(0, 0.02, 120)
        if kind == "fault":
            loss[70:] = np.nan
        curves = {"train/loss": loss, "eval/accuracy": 0.2 + 0.7 * gain, "_runtime": np.arange(120.0)}
        rows = [logs.history({name: float(curve[n]) for name, curve in curves.items()}, n) for n in range(120)]
        place = logs.write_run(
            tmp_path / "p" / "wandb", [logs.run(run_id, name=run_id, project="p"), *rows, logs.exit_()], run_id
        )
        runs[f"p/wandb/{place.name}"] = about(run_id, kind, [["nan_or_inf"]] if kind == "fault" else [])
    (tmp_path / "expected.json").write_text(json.dumps({"runs": runs}))
    return tmp_path


def test_a_set_is_counted(folder: Path) -> None:
    from benchmarks.trainings.judge import Tally, faults_table, judge
    from benchmarks.trainings.peers import judge_by_peers

    tally = judge(folder, alone=False)
    assert (tally.faulty, tally.flagged, tally.right, tally.good, tally.healthy, tally.alarms) == (1, 1, 1, 0, 2, 0), (
        tally
    )
    assert (tally.primary, tally.ranked) == (3, 3)
    assert tally.row("ours")[1:] == ["1 of 1", "1 of 1", "0", "0 of 2", "3 of 3"]
    assert len(tally.row("ours")) == len(Tally.HEAD)
    document = json.loads((folder / "expected.json").read_text())
    for run in document["runs"].values():
        run["diagnoses"] = [["reward_hacking"]] if run["kind"] == "fault" else []
    (folder / "expected.json").write_text(json.dumps(document))
    wrong = judge(folder, alone=False)
    assert (wrong.flagged, wrong.right) == (1, 0)
    assert wrong.errors == ["missed p/cccc3333 (NaN): ugly, nan_or_inf"]
    peers = judge_by_peers(folder, sys.executable)
    assert {name: peer.note for name, peer in peers.items()} == dict.fromkeys(peers, "not installed")
    assert faults_table({"ours": tally, **peers}) == [["fault", "ours"], ["NaN", "1 of 1"]]


def test_what_the_other_tools_read_has_names_that_they_know(folder: Path) -> None:
    from benchmarks.trainings.peers import _write_history

    [place] = (folder / "p" / "wandb").glob("*cccc3333")
    _write_history(place, folder / "x.csv")
    head, *rows = (folder / "x.csv").read_text().splitlines()
    assert set(head.split(",")) == {"step", "train_loss", "eval/accuracy"}
    assert len(rows) == 120
    assert rows[-1].split(",")[head.split(",").index("train_loss")] == "nan"


def test_plans_name_diagnoses_that_there_are() -> None:
    from benchmarks.trainings.plans import PLANS
    from benchmarks.trainings.train import DEFAULTS, PRIMARY, TRAININGS

    assert len({(plan.project, plan.variant) for plan in PLANS}) == len(PLANS)
    assert {plan.project for plan in PLANS} == set(TRAININGS) == set(DEFAULTS) == set(PRIMARY)
    for plan in PLANS:
        assert bool(plan.label) == bool(plan.diagnoses)
        assert {id_ for group in plan.diagnoses for id_ in group} | set(plan.also_true) <= set(DETECTORS)
