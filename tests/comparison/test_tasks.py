"""Runs of different tasks side by side: ranked within their task, and none is the best of all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from report_cases import ACCURACY, LOSS, NOW, a_finding, curve, judged, rising
from wandb_toolkit.comparison.levels import gains, level_of
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.comparison.tasks import PROJECT, tasks_of, telling_keys
from wandb_toolkit.model import Comparison, Primary, Report, RunReport
from wandb_toolkit.reports.render.comparison import comparison_lines, configurations, ranking, ranks_of
from wandb_toolkit.text import short_names

TRAINER = {f"arg{at}": at for at in range(20)}
OTHER = {f"option{at}": at for at in range(20)}


def keys_of(*runs: RunReport) -> tuple[str, ...]:
    return telling_keys(tasks_of(runs))


def compared(*runs: tuple[RunReport, float], primary: Primary = ACCURACY) -> Comparison:
    return compare([run for run, _ in runs], [curve(rising(end), primary.metric) for _, end in runs], primary)


def test_other_programs_in_other_projects_learn_other_tasks() -> None:
    one, two = judged("a", project="x", config=TRAINER), judged("b", project="y", config=OTHER)
    assert keys_of(one, two) == (PROJECT,)
    assert keys_of(one, judged("b", project="y", config={**TRAINER, "arg0": 9})) == ()
    assert keys_of(one, judged("b", project="x", config=OTHER)) == ()
    assert keys_of(one, judged("b", project="y")) == (), "an empty config says nothing"


def test_a_named_task_decides_whatever_the_project() -> None:
    one = judged("a", project="x", config={**TRAINER, "env_id": "CartPole-v1"})
    same = judged("b", project="y", config={**OTHER, "env_id": "CartPole-v1"})
    assert keys_of(one, same) == ()
    assert keys_of(one, judged("b", project="y", config={**OTHER, "env_id": "Hopper-v4"})) == ("env_id",)
    loss = [
        judged(name, project=name, config={**keys, "loss_type": "sft"}) for name, keys in (("x", TRAINER), ("y", OTHER))
    ]
    assert keys_of(*loss) == (PROJECT,), "a loss of one name makes no common task"


def several() -> Comparison:
    def run(name: str, env: str) -> RunReport:
        return judged(name, config={"env_id": env, "name": name})

    return compared(
        (run("hop-low", "Hopper"), 0.5),
        (run("reach-high", "Reacher"), 0.9),
        (run("hop-high", "Hopper"), 0.7),
        (run("reach-low", "Reacher"), 0.2),
    )


def test_no_run_is_the_best_of_several_tasks() -> None:
    found = several()
    assert (found.best, found.best_at, found.lead) == (None, None, None)
    assert found.leaders == (1, 2)
    assert [(line.task, line.name) for line in found.runs] == [
        ("Reacher", "reach-high"), ("Reacher", "reach-low"), ("Hopper", "hop-high"), ("Hopper", "hop-low"),
    ]  # fmt: skip
    assert ranks_of(found) == [1, 2, 1, 2]
    table = ranking(found, ACCURACY, full=False)
    assert [row[0] for row in table.rows] == ["1 best", "2", "1 best", "2"]
    assert [row[table.heads.index("task")] for row in table.rows] == ["`Reacher`"] * 2 + ["`Hopper`"] * 2


def test_a_short_table_has_the_best_of_each_task() -> None:
    levels = {"Hopper": 0.9, "Reacher": 0.5, "Swimmer": 0.2}
    runs = [
        (judged(f"{env}-{at}", config={"env_id": env, "lr": at}), level - 0.01 * at)
        for env, level in levels.items()
        for at in range(6)
    ]
    found = compared(*runs)
    report = Report(
        verdict="good",
        source="local",
        target="demo",
        primary=ACCURACY,
        roles={},
        runs=tuple(run for run, _ in runs),
        good=(),
        bad=(),
        ugly=(),
        comparison=found,
        next_experiments=(),
        errors=(),
        generated_at=NOW,
        tool_version="1",
    )
    lines = comparison_lines(report, None, full=False, most=8)
    lines = lines[: lines.index("12 more rows left out here: `--full` shows them all.")]
    assert [line.split("|")[2].strip() for line in lines if line.startswith("|")][2:] == [
        f"`{env}-{at}`" for env in levels for at in range(2)
    ]


def test_a_configuration_stands_behind_the_first_of_its_task() -> None:
    found = several()
    assert [(one.task, one.gap is None) for one in found.configurations] == [
        ("Reacher", True), ("Reacher", False), ("Hopper", True), ("Hopper", False),
    ]  # fmt: skip
    assert configurations(found) is None, "single runs: the ranking says it"
    assert "projects" not in found.note


def test_two_projects_are_not_compared_and_the_note_says_why() -> None:
    found = compared(
        (judged("sft", project="trl", config=TRAINER), 0.9), (judged("gpt", project="hf", config=OTHER), 0.4)
    )
    assert "no config says that they learn the same task" in found.lead_text
    assert "`trl`: `sft`; `hf`: `gpt`" in found.lead_text
    assert "more than chance" not in found.note


def test_only_one_ranked_run_that_broke_is_no_best() -> None:
    broke = judged("broke", a_finding("crashed", "ugly"), state="crashed", verdict="ugly")
    found = compare([broke, judged("other")], [curve(rising(0.5)), None], ACCURACY)
    assert found.best is None
    assert "failed" not in found.note
    assert ranking(found, ACCURACY, full=False).rows[0][0] == "1"


def test_a_run_does_not_lead_by_having_gone_on_for_longer() -> None:
    noise = np.random.default_rng(5).normal(0, 0.01, 200)
    long = np.concatenate([np.full(100, 0.5), np.full(100, 0.9)]) + noise
    runs = [judged("long", config={"lr": 1.0}), judged("short", config={"lr": 2.0})]
    found = compare(runs, [curve(long), curve(0.5 + noise[:100][::-1])], ACCURACY)
    assert found.best == "id-long"
    assert found.lead == "unproven"
    assert "ends ahead of" in found.lead_text
    assert "ran longer: after 99 steps, which both have, there is no evidence" in found.lead_text
    assert not any(point.telling for point in found.common), "not said twice"
    equal = compare(runs, [curve(long), curve(0.5 + noise[::-1])], ACCURACY)
    assert equal.lead == "single"


def test_the_best_of_the_best_configuration_need_not_stand_first() -> None:
    runs, ends = (
        [],
        [("steady", 0.80), ("steady", 0.82), ("steady", 0.81), ("lucky", 0.9), ("lucky", 0.3), ("lucky", 0.2)],
    )
    for seed, (name, _) in enumerate(ends):
        runs.append(judged(f"{name}-{seed}", config={"name_of": name, "seed": seed}))
    found = compare(runs, [curve(np.full(50, end)) for _, end in ends], ACCURACY)
    marks = [row[0] for row in ranking(found, ACCURACY, full=False).rows]
    assert marks[:2] == ["1", "2 best mean"]
    assert sum("best" in mark for mark in marks) == 1


def test_how_far_a_run_has_come_is_measured_from_where_the_runs_start() -> None:
    levels = [level_of(curve(values), "min") for values in ([6.0, 4.4], [6.2, 4.5], [73.0, 9.7])]
    found = gains([one for one in levels if one], "min")
    assert found == pytest.approx([1.8, 1.7, -3.5])
    assert math.isnan(gains([one for one in [level_of(curve([math.nan]))] if one], "max")[0])


def test_a_run_that_starts_far_off_sets_no_target() -> None:
    curves = [np.linspace(start, end, 50) for start, end in ((6.0, 4.4), (6.2, 4.5), (73.0, 9.7))]
    runs = [judged(f"r{at}", config={"lr": at}) for at in range(3)]
    found = compare(runs, [curve(one, LOSS.metric) for one in curves], LOSS)
    assert found.target is not None
    assert found.target.value == pytest.approx(4.57, abs=0.1)


def over_tasks(dead: Any, state: str, *findings: Any) -> Comparison:
    reports, series = [], []
    for algo, level in (("ppo", 10.0), ("a2c", 5.0)):
        for env in ("Hopper", "Reacher"):
            for seed in range(4):
                broke = (algo, seed) == ("ppo", 3)
                config = {"algo": algo, "env_id": env, "seed": seed}
                facts: dict[str, Any] = {"state": state, "verdict": "ugly"} if broke else {}
                reports.append(judged(f"{algo}-{env}-{seed}", *(findings if broke else ()), config=config, **facts))
                series.append(curve([0.0, *(dead if broke else [level + 0.1 * seed] * 50)], "eval/return"))
    return compare(reports, series, Primary("eval/return", "max", "return"))


def test_a_run_that_diverged_counts_as_nothing_learned_and_one_that_its_machine_ended_does_not() -> None:
    nan = over_tasks([10.0] * 20 + [math.nan] * 30, "finished", a_finding("nan_or_inf", "ugly"))
    gone = over_tasks([10.0] * 20, "crashed", a_finding("crashed", "ugly"))
    assert nan.across is not None
    assert gone.across is not None
    assert [(one.label, one.seeds) for one in nan.across.configurations] == [("algo=ppo", (4, 4)), ("algo=a2c", (4, 4))]
    assert gone.across.configurations[0].seeds == (3, 3)
    assert nan.across.configurations[0].profile[0] == pytest.approx(0.75)
    assert "2 runs that ended in NaN count as 0." in nan.across.note
    assert "NaN" not in gone.across.note
    after = over_tasks(
        [10.0] * 20 + [math.nan] * 30,
        "failed",
        a_finding("nan_or_inf", "ugly"),
        a_finding("crashed", "ugly", consequence_of="nan_or_inf"),
    )
    assert after.across is not None
    assert after.across.configurations[0].seeds == (4, 4), "the crash is the training's own"


def test_runs_of_one_name_and_id_are_told_apart_by_their_project() -> None:
    runs = [judged("same", project=project).run for project in ("x", "y")]
    assert short_names(runs) == ["same (id-same) of x", "same (id-same) of y"]
    assert short_names([runs[0], judged("other").run]) == ["same", "other"]


def test_projects_that_name_one_task_need_no_caveat() -> None:
    def run(project: str, **config: Any) -> RunReport:
        return judged(project, project=project, config={**TRAINER, **config})

    alike = compared((run("x", env_id="CartPole-v1"), 0.9), (run("y", env_id="CartPole-v1"), 0.4))
    assert "projects" not in alike.note
    unnamed = compared((run("x"), 0.9), (run("y"), 0.4))
    assert "The ranked runs come from 2 projects: their levels may not be comparable." in unnamed.note
