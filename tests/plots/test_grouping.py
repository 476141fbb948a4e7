"""Means of groups: who stands behind them, and the bands against plain numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from plot_fakes import line, make_history, make_run
from wandb_toolkit.errors import UsageError
from wandb_toolkit.model import Run
from wandb_toolkit.plots.charts import Chart, as_dict, build_chart
from wandb_toolkit.plots.group_keys import groups_of, is_group_key, parse_group_keys
from wandb_toolkit.plots.grouping import BUCKETS, Grouping, grouped
from wandb_toolkit.plots.labels import run_labels
from wandb_toolkit.plots.smoothing import Smoothing, time_weighted_ema

NONE = Smoothing("none")


def chart_of(
    values: Sequence[Sequence[float]], x: Sequence[Sequence[float]] | None = None, how: Smoothing = NONE
) -> Chart:
    runs = [make_run(f"id{i}", f"run-{i}", group="g") for i in range(len(values))]
    histories = {i: make_history(line("loss", v, x[i] if x else None)) for i, v in enumerate(values)}
    return build_chart("loss", runs, histories, how)


def mean_of(chart: Chart, band: str = "std", seed: int = 0) -> Chart:
    return grouped(chart, {"g": range(len(chart.curves))}, Grouping("group", band, seed))  # type: ignore[arg-type]


def test_the_mean_and_its_bands_are_numpy_s() -> None:
    table = np.random.default_rng(1).normal(size=(5, 40))
    chart = chart_of(table.tolist())
    for band, low, high in (
        ("std", table.mean(0) - table.std(0, ddof=1), table.mean(0) + table.std(0, ddof=1)),
        ("minmax", table.min(0), table.max(0)),
    ):
        (curve,) = mean_of(chart, band).curves
        assert curve.band is not None
        np.testing.assert_allclose(curve.value, table.mean(0))
        np.testing.assert_allclose(curve.band.low, low)
        np.testing.assert_allclose(curve.band.high, high)
        assert curve.label == "g (n=5)"


def test_the_bootstrap_depends_on_its_seed_only_and_narrows_with_n() -> None:
    rng = np.random.default_rng(2)
    few, many = chart_of(rng.normal(size=(4, 30)).tolist()), chart_of(rng.normal(size=(40, 30)).tolist())

    def width(chart: Chart, seed: int) -> float:
        band = mean_of(chart, "ci", seed).curves[0].band
        assert band is not None
        return float((band.high - band.low).mean())

    assert width(few, 0) == width(few, 0) != width(few, 1)
    assert width(many, 0) == pytest.approx(2 * 1.96 / math.sqrt(40), rel=0.15)
    assert width(few, 0) > 2 * width(many, 0)


def test_runs_of_different_length_are_counted_where_they_are() -> None:
    chart = mean_of(chart_of([[1, 1, 1, 1], [3, 3], [5, 5, 5]]))
    (curve,) = chart.curves
    assert curve.band is not None
    assert curve.band.count.tolist() == [3, 3, 2, 1]
    assert curve.value.tolist() == [3, 3, 3, 1]
    assert math.isnan(curve.band.low[3])
    group = as_dict(curve, 4)["group"]
    assert group["support"] == [{"x": 0, "n": 3}, {"x": 2, "n": 2}, {"x": 3, "n": 1}]
    assert group["runs"] == ["id0", "id1", "id2"]


def test_runs_that_log_at_other_steps_meet_on_the_line_between_their_points() -> None:
    (curve,) = mean_of(chart_of([[0, 10], [0, 4, 8]], [[0, 10], [0, 4, 8]])).curves
    assert curve.x.tolist() == [0, 4, 8, 10]
    assert curve.value.tolist() == [0, 4, 8, 10]
    assert curve.band is not None
    assert curve.band.count.tolist() == [2, 2, 2, 1]


def test_long_runs_meet_in_buckets() -> None:
    x = np.sort(np.random.default_rng(3).uniform(0, 100, (3, 5000)))
    (curve,) = mean_of(chart_of((2 * x).tolist(), x.tolist())).curves
    assert len(curve.x) == BUCKETS
    np.testing.assert_allclose(curve.value, 2 * curve.x, atol=0.2)


def test_non_finite_values_stay_out_and_are_said() -> None:
    chart = mean_of(chart_of([[1, math.nan, 3], [3, 4, math.inf]]))
    (curve,) = chart.curves
    assert curve.value.tolist() == [2, 3, 3]
    assert chart.notes == ("2 NaN or infinite values are left out of the means",)


def test_the_mean_is_smoothed_with_the_chart_s_range() -> None:
    values = np.random.default_rng(4).normal(size=(3, 200))
    (curve,) = mean_of(chart_of(values.tolist(), how=Smoothing())).curves
    assert curve.smooth is not None
    np.testing.assert_allclose(curve.smooth, time_weighted_ema(curve.x, curve.value, 0.99, 199.0))


def test_groups_by_attribute_and_nested_config() -> None:
    runs = [
        make_run("a", group="g1", config={"opt": {"lr": 0.1}}),
        make_run("b", config={"opt": {"lr": 0.2}}),
        make_run("c", group="g1", config={"opt": {"lr": 0.1}}),
    ]
    assert groups_of(runs, ["group"]) == {"g1": [0, 2], "no group": [1]}
    assert groups_of(runs, ["config.opt.lr"]) == {"lr=0.1": [0, 2], "lr=0.2": [1]}
    assert [is_group_key(key) for key in ("sweep", "job_type", "config.x", "config.", "name")] == [True] * 3 + [
        False
    ] * 2


def test_groups_by_several_keys_and_by_all_but_some() -> None:
    settings = [(0.1, 64), (0.1, 64.0), (0.2, 64), (0.2, None)]
    runs = [
        make_run(
            f"r{i}",
            config={"lr": lr, "net": {"width": width}, "seed": i, "output_dir": f"/out/{i}", "api_key": f"k{i}"},
        )
        for i, (lr, width) in enumerate(settings)
    ]
    keys, aside = parse_group_keys("config.lr,config.net.width", ["config.lr", "config.net.width"]).settled(runs)
    assert (keys, aside) == (("config.lr", "config.net.width"), ())
    by_both = {"lr=0.1, width=64": [0, 1], "lr=0.2, width=64": [2], "lr=0.2, no width": [3]}
    assert groups_of(runs, keys) == by_both
    keys, aside = parse_group_keys("all-but:config.seed", ["all-but:config.seed"]).settled(runs)
    assert (set(keys), set(aside)) == ({"config.lr", "config.net.width"}, {"output_dir", "api_key"})
    assert list(groups_of(runs, keys).values()) == list(by_both.values())
    keys, _ = parse_group_keys("all-but:config.seed,config.net", ["all-but:config.seed", "config.net"]).settled(runs)
    assert groups_of(runs, keys) == {"lr=0.1": [0, 1], "lr=0.2": [2, 3]}
    assert groups_of(
        runs[:2], parse_group_keys("all-but:config.seed", ["all-but:config.seed"]).settled(runs[:2])[0]
    ) == {"all settings equal": [0, 1]}
    same_ends = [make_run("x", config={"a": {"lr": 1}, "b": {"lr": 2}})]
    assert list(groups_of(same_ends, ["config.a.lr", "config.b.lr"])) == ["a.lr=1, b.lr=2"]


@pytest.mark.parametrize("text", ["name", "config.", "all-but:", "all-but:group", "config.a,state"])
def test_what_no_run_can_be_grouped_by(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be grouped"):
        parse_group_keys(text, text.split(","))


def named(*names: str, **configs: list[object]) -> list[Run]:
    return [
        make_run(f"id{i}", name, config={key: values[i] for key, values in configs.items()})
        for i, name in enumerate(names)
    ]


def test_labels_tell_runs_apart() -> None:
    assert run_labels(named("a", "b")) == ["a", "b"]
    assert run_labels(named("x", "x", "x", lr=[0.1, 0.2, 0.3])) == ["lr=0.1 · x", "lr=0.2 · x", "lr=0.3 · x"]
    two = run_labels(named("x", "x", "x", "x", lr=[1, 1, 2, 2], seed=[1, 2, 1, 2]))
    assert two == ["lr=1 seed=1 · x", "lr=1 seed=2 · x", "lr=2 seed=1 · x", "lr=2 seed=2 · x"]
    base = "my-organisation-grpo-qwen-2.5-7b-instruct-math"
    long = run_labels(named(f"{base}-alpha-h100", f"{base}-beta-h100"))
    assert long == ["…alpha…", "…beta…"]
    assert len(set(run_labels(named("x", "x")))) == 2
