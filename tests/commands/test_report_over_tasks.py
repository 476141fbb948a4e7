"""wandb_report over several tasks: the section in Markdown, HTML and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import wandb_runs as w
from repository import ROOT
from wandb_toolkit.commands.wandb_report import main

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "wandb_report.schema.json").read_text(encoding="utf-8"))
TITLE = "Over several tasks (levels normalised per task)"


@pytest.fixture
def two_tasks(tmp_path: Path) -> Path:
    """Two algorithms on two environments of unlike scale, each tuned per environment, three seeds of each."""
    rng = np.random.default_rng(0)
    gains = {("ppo", "Hopper-v4"): 3000, ("ppo", "Reacher-v4"): 9, ("a2c", "Hopper-v4"): 1000, ("a2c", "Reacher-v4"): 3}
    for at, ((algo, env), gain) in enumerate(gains.items()):
        for seed in range(3):
            config = {"algo": algo, "env_id": env, "seed": seed, "learning_rate": 1e-4 * (at + 1)}
            returns = gain * (1 - np.exp(-np.arange(60) / 12)) + 0.03 * gain * rng.standard_normal(60)
            run_id = f"{algo}{at}seed{seed}"
            rows = [w.history({"_step": step, "charts/episodic_return": float(v)}) for step, v in enumerate(returns)]
            payloads = [w.run(run_id, config=config, project="rl", name=f"{env}__{algo}__{seed}"), *rows, w.exit_(0)]
            w.write_run(tmp_path / "wandb", payloads, run_id, at=f"20231114_2213{3 * at + seed:02}")
    return tmp_path / "wandb"


def test_algorithms_are_compared_over_their_tasks(
    two_tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert main([str(two_tasks), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    found = document["comparison"]["across"]
    assert [one["task"] for one in found["tasks"]] == ["Hopper-v4", "Reacher-v4"]
    ppo, a2c = found["configurations"]
    assert (ppo["label"], a2c["label"]) == ("algo=ppo", "algo=a2c")
    assert ppo["iqm"] == pytest.approx(1, abs=0.05)
    assert a2c["iqm"] == pytest.approx(1 / 3, abs=0.05)
    assert (a2c["apart"], a2c["beaten"]) == (True, 1)

    assert main([str(two_tasks)]) == 0
    text = capsys.readouterr().out
    assert f"### {TITLE}" in text
    assert "Over 2 tasks, `algo=ppo` leads `algo=a2c` by" in text

    assert main([str(two_tasks), "--html", str(page)]) == 0
    assert f"<caption>{TITLE}</caption>" in page.read_text(encoding="utf-8")
