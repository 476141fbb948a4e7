"""The figure of a finding: what the rule looked at, marked where it begins, drawn alike as a picture and inline."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from wandb_toolkit.model import Series
from wandb_toolkit.plots.evidence import Evidence, evidence
from wandb_toolkit.plots.figures.evidence import EvidencePainter, evidence_png
from wandb_toolkit.plots.svg import evidence_svg

STEPS = np.arange(100.0) * 10


def entropy(**more: object) -> Evidence:
    """A curve that collapses at step 300, with levels, a band and a strip below it."""
    value = np.where(STEPS < 300, 1.8, 1.8 * np.exp(-(STEPS - 300) / 50))
    shown = {
        "levels": {"start": 1.8, "15% of the start": 0.27},
        "band": {"runs": 3, "x": [0.0, 500.0, 990.0], "low": [1.5, 1.4, 1.2], "high": [1.9, 1.8, 1.7]},
    }
    rate = Series("train/lr", STEPS, np.where(STEPS < 290, 1e-4, 4e-4))
    made = evidence(
        "`train/entropy` collapsed", "run one", [Series("train/entropy", STEPS, value), rate],
        x_axis="train/global_step", onset=300.0, shown={**shown, **more}, events=[(250.0, "an epoch ended")],
    )  # fmt: skip
    assert made is not None
    return made


def test_the_picture_marks_onset_levels_band_and_what_came_before() -> None:
    figure = entropy()
    painter = EvidencePainter(figure)
    painter.draw(figure)
    main, strip = painter.figure.axes
    x, y = ({line.get_gid(): np.asarray(line.get_data()[at]) for line in main.lines} for at in (0, 1))
    assert (y["level:start"][0], y["level:15% of the start"][0]) == (1.8, 0.27)
    assert (x["onset"][0], x["event:an epoch ended"][0]) == (300.0, 250.0)
    assert [one.get_gid() for one in main.collections] == ["band"]
    np.testing.assert_allclose(y["curve:train/entropy"][:5], 1.8)
    assert {line.get_gid() for line in strip.lines} >= {"curve:train/lr", "onset"}
    assert main.get_xlim() == strip.get_xlim() == (0.0, 990.0)
    texts = {text.get_gid(): text.get_text() for text in painter.figure.texts}
    assert texts["onset"] == "train/global_step 300"
    assert texts["sentence"].startswith("run one: `train/entropy` collapsed")


class Drawing(HTMLParser):
    """The elements of an SVG."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def paths(self, kind: str) -> list[str]:
        return [attrs["d"] or "" for tag, attrs in self.elements if tag == "path" and attrs.get("class") == kind]


def test_the_drawing_has_the_same_marks() -> None:
    drawing = Drawing(evidence_svg(entropy()))
    assert {"start: 1.8", "15% of the start: 0.27", "train/global_step 300", "shaded: 3 other runs"} <= set(
        drawing.words
    )
    assert [len(drawing.paths(kind)) for kind in ("line", "level", "band", "onset", "event")] == [2, 2, 1, 1, 1]
    onset = float(drawing.paths("onset")[0][1:].split()[0])
    points = re.findall(r"([\d.]+) ([\d.]+)", drawing.paths("line")[0])
    level = min(float(y) for _, y in points)
    falling = next(float(x) for x, y in points if float(y) > level + 3)
    assert onset - 1 <= falling <= onset + 40
    assert all("style" not in attrs and "fill" not in attrs for _, attrs in drawing.elements)


def test_values_that_no_axis_holds_are_marked_and_named() -> None:
    value = np.where(STEPS < 500, 1.0 + STEPS, np.nan)
    value[20] = math.inf
    figure = evidence(
        "gone", "r", [Series("loss", STEPS, value)], x_axis="_step", onset=500.0, shown={"levels": {"far": -1e12}}
    )
    assert figure is not None
    [panel] = figure.panels
    assert len(panel.bad) == 51
    assert panel.levels == ()
    assert panel.far == (("far", -1e12),)
    drawing = Drawing(evidence_svg(figure))
    assert "× 51 NaN or infinite values" in " ".join(drawing.words)
    assert evidence("none", "r", [Series("loss", STEPS[:0], STEPS[:0])], x_axis="_step", onset=None, shown={}) is None
    nothing = evidence("nan", "r", [Series("loss", STEPS, STEPS * np.nan)], x_axis="_step", onset=0.0, shown={})
    assert nothing is not None
    assert evidence_svg(nothing).count('class="nan"') > 10


@pytest.mark.parametrize("name", ['"><script>', "\x1b]52;c;x\x07", "日本 😀"])
def test_strangers_names_stay_text(name: str) -> None:
    figure = evidence(name, name, [Series(name, STEPS, STEPS)], x_axis=name, onset=100.0, shown={"levels": {name: 5.0}})
    assert figure is not None
    drawing = evidence_svg(figure)
    assert "<script" not in drawing
    assert "\x1b" not in drawing
    assert evidence_png(figure, name, "0" * 16).startswith(b"\x89PNG")


def test_a_long_run_is_shown_around_the_onset() -> None:
    steps = np.arange(100_000.0)
    value = np.sin(steps / 50)
    value[77_000] = 1e6
    figure = evidence("spike", "r", [Series("loss", steps, value)], x_axis="_step", onset=77_000.0, shown={})
    assert figure is not None
    assert 40_000 < figure.left < 77_000 < figure.right
    [panel] = figure.panels
    assert len(panel.x) < 2_000
    assert panel.value.max() == 1e6


def test_a_point_alone_between_infinite_ones_is_seen() -> None:
    value = np.full(100, np.inf)
    value[:20], value[40] = 1.0, 2.0
    figure = evidence("gone", "r", [Series("loss", STEPS, value)], x_axis="_step", onset=200.0, shown={})
    assert figure is not None
    painter = EvidencePainter(figure)
    painter.draw(figure)
    [line] = [line for line in painter.figure.axes[0].lines if line.get_gid() == "curve:loss"]
    assert line.get_marker() == "o"
    assert line.get_markevery() == [40]
