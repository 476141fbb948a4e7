"""What the machine says: graphics processors that wait, memory that fills up."""

from __future__ import annotations

import re

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, curve_of, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.model import Finding

_GPU = re.compile(r"system\.gpu\.\d+\.gpu$")  # utilisation in percent; W&B samples every 15 s
_MEMORY = ("system.proc.memory.rssMB", "system.memory_percent", "system.memory")


def _after_start(curve: Curve, warm: float = 0.1) -> Curve:
    """Return the curve without the start of the run, where models are loaded and compiled."""
    keep = curve.x >= curve.x[0] + warm * (curve.x[-1] - curve.x[0])
    return Curve(curve.metric, curve.x[keep], curve.y[keep], curve.logged)


@detector(
    "gpu_idle",
    "The GPUs wait",
    "bad",
    label="idle GPUs",
    needs="samples of `system.gpu.N.gpu` and of the memory that is allocated there",
    about="process",
)
def gpu_idle(
    view: RunView, idle: float = 5.0, share: float = 0.5, samples: int = 20, busy: float = 50.0
) -> Finding | None:
    """The run's GPUs are idle (at most `idle` percent used) in at least `share` (half) of the samples.

    Idle is next to nothing, and half of the time is more than evaluation and checkpoints take: how busy a GPU ought to
    be is another matter. Of several GPUs the mean counts; those never used by the run are left out, if another was. A
    GPU on which nothing is loaded, or whose memory is not sampled (it may draw the screen), is not the run's; one that
    is never `busy` has too little to do, which is a note.
    """
    curves = [curve_of(series) for name, series in view.history.series.items() if _GPU.match(name)]
    curves = [_after_start(curve) for curve in curves if len(curve) >= samples]
    if not curves:
        raise NotApplicable(f"fewer than {samples} samples of system.gpu.N.gpu")
    curves = [curve for curve in curves if _loaded(view, curve.metric)]
    if not curves:
        raise NotApplicable("nothing shows that the run has its model on this machine's GPU")
    used = [curve for curve in curves if float(np.max(curve.y)) > idle] or curves
    waits = [float(np.mean(curve.y <= idle)) for curve in used]
    waiting = float(np.mean(waits))
    if waiting < share:
        return None
    worst = used[int(np.argmax(waits))]
    of = f"{len(used)} GPUs" if len(used) > 1 else "GPU"
    mean = float(np.mean([curve.y.mean() for curve in used]))
    hardly = max(float(np.max(curve.y)) for curve in used) < busy
    were = "were" if len(used) > 1 else "was"
    what = f"{were} hardly used" if hardly else f"did next to nothing in {waiting:.0%} of the samples"
    return finding(
        "gpu_idle",
        f"The {of} {what} (mean use {mean:.0f}%)",
        worst,
        evidence={"idle": waiting, "gpus": len(used), "thresholds": {"idle": idle, "share": share}},
        levels={"idle": idle},
        advice="Look whether the work runs on it at all, or is too small for it."
        if hardly
        else "Look at what it waits for: data loading, generation, a single environment, logging, synchronisation.",
        severity="note" if hardly else None,
        margin=waiting / share,
    )


def _loaded(view: RunView, use: str, least: float = 1.0) -> bool:
    """Return whether at least `least` percent of a GPU's memory was ever allocated."""
    series = view.history.get(use.removesuffix("gpu") + "memoryAllocated")
    return series is not None and len(series) > 0 and float(np.nanmax(series.value)) >= least


@detector(
    "memory_creep",
    "Memory use grows throughout the run",
    "bad",
    label="growing memory use",
    about="process",
)
def memory_creep(view: RunView, grown: float = 0.5, steady: float = 0.8, samples: int = 20) -> Finding | None:
    """The process's memory grows by `grown` (half) after its start, steadily, and to the end.

    Kendall's tau over the run is at least `steady`; the last third brings as much as its share: caches that fill and
    buffers that reach their size level off. Where the process's own memory is not sampled, the machine's has to end
    above 80%.
    """
    name = next((key for key in _MEMORY if len(view.history.series.get(key, ())) >= samples), None)
    if name is None:
        raise NotApplicable(f"fewer than {samples} samples of {_MEMORY[0]}")
    curve = _after_start(curve_of(view.history[name]))
    t = curve.trend
    if len(t.y) < 8 or t.start <= 0:
        raise NotApplicable(f"too few samples of {name}")
    gain, late = t.end - t.start, t.end - t.level(0.62, 0.7)
    if gain < grown * t.start or late < 0.25 * gain or stats.rank_trend(t.raw) < steady:
        return None
    if name != _MEMORY[0] and t.end < 80:
        return None
    unit = " MB" if name == _MEMORY[0] else "%"
    return finding(
        "memory_creep",
        f"{name} grew from {num(t.start)}{unit} to {num(t.end)}{unit}, steadily and to the end",
        curve,
        evidence={"start": t.start, "end": t.end, "thresholds": {"grown": grown, "steady": steady}},
        levels={"start": t.start, f"{1 + grown:g} × the start": (1 + grown) * t.start},
        advice="Look for tensors kept with their graph, lists of results that grow, a replay buffer, loader workers.",
        margin=gain / (grown * t.start),
    )
