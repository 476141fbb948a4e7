"""The labelled runs: reproducible, true to the definitions, the same through the SDK; a smoke of the score."""

from __future__ import annotations

import json
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
from benchmarks.diagnoses.peers import by_peer
from benchmarks.diagnoses.project import make_project
from benchmarks.diagnoses.score import by_report, judges, score
from benchmarks.diagnoses.source import NOW, logged
from benchmarks.diagnoses.troubles import TROUBLES
from benchmarks.peers import NotInstalledError

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
    [ours] = score([make_project(seed) for seed in range(7000, 7020)], judges()).values()
    assert ours.macro_f1 >= 0.93
    assert ours.alarms_each <= 0.05
    assert ours.onset_error < 0.03


FAKE_RUNMEDIC = """
import csv, json, math, sys
rows = list(csv.DictReader(open(sys.argv[2])))
bad = [row for row in rows if any(cell and not math.isfinite(float(cell)) for cell in row.values())]
findings = [{"check": "non_finite", "severity": "critical", "step": float(bad[0]["step"])}] if bad else []
findings.append({"check": "constant_lr_plateau", "severity": "info", "step": 3.0})
print(json.dumps([{"run": "one", "findings": findings}]))
"""


def test_another_tool_judges_the_same_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runmedic.py").write_text(FAKE_RUNMEDIC)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    wanted = {"nan_or_inf", "plateau_early"}
    project = next(p for p in map(make_project, range(500)) if wanted <= {i for r in p.runs for i in r.truth.labels})
    for run, found in zip(project.runs, by_peer("runmedic", sys.executable, project), strict=True):
        # What only informs counts where it is true, as the report's own notes do.
        expected = {"plateau_early": 3} if "plateau_early" in run.truth.labels else {}
        broken = [rows[~np.isfinite(values)] for _, rows, values in logged(run.draft)]
        if any(len(rows) for rows in broken):
            expected["nan_or_inf"] = int(run.draft.steps[np.concatenate(broken).min()])
        assert found == expected


def test_a_tool_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trainspotter").mkdir()
    (tmp_path / "trainspotter" / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NotInstalledError, match=r"trainspotter is not installed for .*No module named"):
        by_peer("trainspotter", sys.executable, make_project(3))


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


def test_what_is_made_early_and_taken_back_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.diagnoses import early

    monkeypatch.setattr(early, "KEPT", tmp_path / "early.json")
    assert early.main(["--seed", "0", "--projects", "1", "--write"]) == 0
    assert "ended runs" in capsys.readouterr().out
    made = json.loads((tmp_path / "early.json").read_text())
    assert made["command"].endswith("--seed 0 --projects 1 --write")
    assert 0 <= made["healthy"] <= made["runs"]
    assert all(one["gone"] <= one["fired"] for one in made["diagnoses"].values())


def test_what_is_kept_names_diagnoses_that_there_are() -> None:
    from benchmarks.diagnoses.early import KEPT

    assert set(json.loads(KEPT.read_text())["diagnoses"]) <= set(DETECTORS)
