"""The labelled runs: reproducible, true to the definitions, the same through the SDK; a smoke of the score."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repository import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks.diagnoses import __main__ as command
from benchmarks.diagnoses import sdk
from benchmarks.diagnoses.definitions import RULES
from benchmarks.diagnoses.families import BY_NAME, FAMILIES
from benchmarks.diagnoses.project import make_project
from benchmarks.diagnoses.score import JUDGES, by_report, score
from benchmarks.diagnoses.source import NOW, logged
from benchmarks.diagnoses.troubles import TROUBLES

from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.reports.build import ReportOptions, build_report
from wandb_toolkit.roles import assign_roles
from wandb_toolkit.sources import RunQuery
from wandb_toolkit.sources.local.source import LocalSource

ROLES = {"policy_loss": "loss", "kl_old": "kl", "clip": "clip_fraction", "zero_std": ""}


def test_a_seed_gives_the_same_project() -> None:
    first, second = make_project(3), make_project(3)
    assert [run.truth for run in first.runs] == [run.truth for run in second.runs]
    for one, other in zip(first.runs, second.runs, strict=True):
        for (key, rows, values), (key2, rows2, values2) in zip(logged(one.draft), logged(other.draft), strict=True):
            assert key == key2
            np.testing.assert_array_equal(rows, rows2)
            np.testing.assert_array_equal(values, values2)


def test_every_diagnosis_comes_up_and_many_runs_are_healthy() -> None:
    runs = [run for seed in range(90) for run in make_project(seed).runs]
    assert set(TROUBLES) == set(RULES)
    assert {id_ for run in runs for id_ in run.truth.labels} == set(RULES)
    healthy = [run for run in runs if not run.truth.labels]
    assert len(healthy) >= 0.4 * len(runs)
    assert sum(bool(run.draft.hard) for run in healthy) >= 0.5 * len(healthy)
    assert all(run.draft.kind == "healthy" or run.draft.kind in run.truth.labels for run in runs)
    assert set(RULES) <= set(DETECTORS)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_roles_of_a_family_are_recognised(family: object) -> None:
    keys = BY_NAME[family.name].keys  # type: ignore[attr-defined]
    found = {role: match.metric for role, match in assign_roles(keys.values()).items()}
    for role, key in keys.items():
        name = ROLES.get(role, role)
        beside = {keys.get("kl")} if role == "kl_old" else {keys.get("reward")} if role == "task" else set()
        if name and key != "eval/mean_reward":
            assert found.get(name) in {key, *beside}


def test_a_small_score() -> None:
    scores = score([make_project(seed) for seed in range(7000, 7020)])
    ours, *others = (scores[name] for name in JUDGES)
    assert ours.macro_f1 >= 0.93
    assert ours.alarms_each <= 0.05
    assert ours.onset_error < 0.03
    assert all(other.macro_f1 < ours.macro_f1 - 0.3 for other in others)


def test_the_command_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seed", "1", "--projects", "2", "--families", "hf"]) == 0
    assert "| this report |" in capsys.readouterr().out


def test_the_sdk_writes_the_same_runs(tmp_path: Path) -> None:
    seed = next(s for s in range(400, 500) if max(run.draft.n for run in make_project(s).runs) < 90)
    sdk.write_in_processes(range(seed, seed + 1), tmp_path, jobs=1)
    source = LocalSource(tmp_path / "wandb")
    runs = source.runs(RunQuery())
    project = sdk.with_exit_record(make_project(seed))
    expected = {run.id: dict(found) for run, found in zip(project.runs, by_report(project), strict=True)}
    report = build_report(source, runs, ReportOptions(NOW)).report
    found = {one.run.id: {f.id: f.step for f in one.findings if f.severity in ("bad", "ugly")} for one in report.runs}
    assert found == expected
    assert any(found.values())


def test_the_module_runs_without_an_installation() -> None:
    words = [sys.executable, "-m", "benchmarks.diagnoses", "--help"]
    assert "--seed" in subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
