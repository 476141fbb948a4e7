"""What runs cost, and how their machines were used: in figures, JSON, Markdown and the page."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_source import FakeSource
from plot_fakes import call, check_schema
from report_cases import a_run, curve, rising
from wandb_toolkit.commands.wandb_report import main
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, Run, Series
from wandb_toolkit.reports.machine_charts import PARTS, machine_charts
from wandb_toolkit.reports.spent import spent_of

HOUR = 3600.0


def system(name: str, values: Any) -> Series:
    y = np.asarray(values, dtype=float)
    return Series(f"system.{name}", np.arange(0, 15 * len(y), 15, dtype=float), y, axis="_runtime")


def history(*series: Series) -> History:
    return History({one.name: one for one in series}, {one.name: "number" for one in series})


@dataclass
class Machines(FakeSource):
    """A local source whose runs have hardware, by id."""

    hardware: dict[str, dict[str, Any]] = field(default_factory=dict)
    kind: str = "local"

    def environment(self, run: Run) -> dict[str, Any]:
        if run.id not in self.hardware:
            raise ToolkitError("damaged")
        return self.hardware[run.id]


@pytest.mark.parametrize(
    ("environment", "series", "gpus", "machine"),
    [
        ({"gpu": "A100", "gpu_count": 8}, (), 8, 8),
        ({"gpu_nvidia": [{}, {}]}, (), 2, 2),
        ({"gpu": "Apple M1"}, (), 1, 1),
        ({"gpu_count": True, "host": "x"}, (), 0, 0),
        ({"host": "cpu-only"}, (), 0, 0),
        ({}, (), None, None),
        ({}, (system("cpu", [1, 2]),), 0, 0),
        ({}, (system("gpu.0.gpu", [1, 2]), system("gpu.1.gpu", [1, 2])), 2, 2),
        (
            {"gpu_count": 2},
            (system("gpu.0.gpu", [90]), system("gpu.0.memoryAllocated", [40]), system("gpu.1.gpu", [0]),
             system("gpu.1.memoryAllocated", [0.2, math.nan])),
            1, 2,
        ),
        ({"gpu_count": 4}, (system("gpu.0.gpu", [90]), system("gpu.0.memoryAllocated", [40])), 4, 4),
        ({"gpu_count": 1}, (system("gpu.0.gpu", [0]), system("gpu.0.memoryAllocated", [0])), 1, 1),
    ],
)  # fmt: skip
def test_gpus_are_those_logged_or_those_that_the_run_had_memory_on(
    environment: dict[str, Any], series: tuple[Series, ...], gpus: int | None, machine: int | None
) -> None:
    (one,) = spent_of([a_run(duration=2 * HOUR)], [history(*series)], [environment]).runs
    assert (one.gpus, one.machine_gpus) == (gpus, machine)
    assert one.gpu_hours == (None if gpus is None else pytest.approx(2 * gpus))


def test_seeds_of_a_configuration_count_together_however_they_ended() -> None:
    runs = [
        a_run("a0", config={"lr": 1, "seed": 0}, duration=HOUR),
        a_run("a1", config={"lr": 1, "seed": 1}, duration=HOUR, state="crashed"),
        a_run("b", config={"lr": 2, "seed": 0}, duration=3 * HOUR),
        a_run("c", config={"lr": 3, "seed": 0}, duration=None),
        a_run("d", config={"lr": 4, "seed": 0}, duration=HOUR),
    ]
    found = spent_of(runs, [History({})] * 5, [{"gpu": "T4", "gpu_count": 2}] * 4 + [{}])
    assert found.gpu_hours == pytest.approx(10)
    assert found.hours == pytest.approx(6)
    dearest, second = found.configurations[:2]
    assert [dearest.names, second.names] == [("b",), ("a0", "a1")]
    assert [dearest.gpu_hours, dearest.share, second.gpu_hours] == pytest.approx([6, 0.6, 4])
    assert found.note == "nothing says which GPUs 1 run had; 1 run logged no run time"


def trainings() -> Machines:
    content: list[tuple[Any, Any]] = []
    for at in range(3):
        used = [system("gpu.0.gpu", rising(90, 40)), system("gpu.0.memoryAllocated", rising(40, 40))]
        used += [system("network.sent", np.arange(40)), system("disk.\\.usagePercent", [50] * 40)]
        used += [system("proc.memory.rssMB", rising(900, 40, 800)), system("cpu", [3] * 40)]
        run = a_run(f"run{at}", duration=(at + 1) * HOUR, config={"lr": at // 2, "seed": at})
        content.append((run, history(curve(rising(0.9)), *used)))
    hardware = {f"id-run{at}": {"gpu": "NVIDIA <b>A100</b>", "gpu_count": 1} for at in range(2)}
    return Machines(content, hardware=hardware)


def test_json_markdown_and_page_say_the_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done = call(main, monkeypatch, capsys, trainings(), "x", "--json", "--html", tmp_path / "page.html")
    check_schema("wandb_report", done.json)
    cost = done.json["cost"]
    assert cost["gpu_hours"] == pytest.approx(6)  # of run2 the samples tell: one GPU
    assert [one["gpu"] for one in cost["runs"]] == ["NVIDIA <b>A100</b>", "NVIDIA <b>A100</b>", ""]
    page = (tmp_path / "page.html").read_text()
    machine = page[page.index('<section id="machine"') :].partition("</section>")[0]
    assert "6 GPU hours in all: 6h of run time of 3 runs" in machine
    assert "<b>A100" not in machine
    assert machine.count("<svg") == len(PARTS)
    assert "figures row" in machine
    assert "system." not in page[page.index('<section id="figure"') :].partition("</section>")[0]
    done = call(main, monkeypatch, capsys, trainings(), "x", "--full")
    cost_text = done.out[done.out.index("## Cost") :]
    assert "- `run0` and 1 more run of its configuration: 3 GPU hours (50%)." in cost_text
    assert re.search(r"\| `run2` +\| finished \| +3 \| 1", cost_text)


def test_runs_without_a_gpu_have_no_section_on_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Machines([(a_run(), history(curve(rising(0.9))))], hardware={"id-one": {"host": "x"}})
    assert "## Cost" not in call(main, monkeypatch, capsys, source, "x", "--full").out
    assert call(main, monkeypatch, capsys, source, "x", "--json").json["cost"]["gpu_hours"] == 0


def test_a_server_is_not_asked_for_hardware(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Machines([(a_run(), history(curve(rising(0.9))))], kind="server", hardware={"id-one": {"gpu_count": 8}})
    cost = call(main, monkeypatch, capsys, source, "x", "--json").json["cost"]
    assert (cost["gpu_hours"], cost["note"]) == (None, "nothing says which GPUs 1 run had")


def test_machine_figures_take_the_mean_of_gpus_and_the_first_of_what_there_is() -> None:
    uneven = [system("gpu.0.gpu", [0, 100, 100]), system("gpu.1.gpu", [0, 50, 50]), system("memory", [7, 7, 7])]
    uneven += [system("disk", [5, 5, 5])]
    charts = machine_charts([a_run()], [history(*uneven)], ["one"])
    titles = ["system.gpu (% in use, mean of the GPUs)", "system.memory (% in use)", "system.disk (% full, mean)"]
    assert [chart.metric for chart in charts] == titles
    assert charts[0].curves[0].value.tolist() == [0, 75, 75]
    assert charts[0].x_axis == "_runtime"
    assert machine_charts([a_run()], [history(system("gpu.0.gpu", [math.nan] * 9))], ["one"]) == []
    assert machine_charts([a_run()], [History({})], ["one"]) == []
