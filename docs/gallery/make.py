"""Draw the pictures of this folder again, from the runs in examples/ and others, as `make docs` does.

generate_plots, download_plots and wandb_report draw them into a temporary folder; here they become PNGs of 256
colours, a third of the size. sweep.py trains the sweep of some, diagnoses.py makes the page of all diagnoses.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUNS = "examples/wandb"
GRID = "train/loss,train/reward,train/reward_std,train/kl,train/entropy,train/grad_norm"
# Picture → the words of generate_plots that draw it. README.md shows the same words.
PICTURES = {
    "compare_accuracy.png": (RUNS, "*", "--metrics", "eval/accuracy"),
    "compare_reward_dark.png": (RUNS, "*", "--metrics", "train/reward", "--theme", "dark"),
    "group_std.png": (RUNS, "*", "--metrics", "eval/accuracy", "--group-by", "group"),
    "group_ci_dark.png": (
        RUNS, "*", "--metrics", "train/reward", "--group-by", "group", "--band", "ci", "--theme", "dark",
    ),
    "grid.png": (RUNS, "group:baseline", "--metrics", GRID, "--grid"),
    "grid_dark.png": (RUNS, "lr-too-high,grpo-base-s1", "--metrics", GRID, "--grid", "--theme", "dark"),
    "nan_marks.png": (RUNS, "lr-too-high,grpo-base-s1", "--metrics", "train/entropy"),
    "log_y.png": (RUNS, "group:baseline", "--metrics", "train/kl", "--log-y"),
    "outliers.png": (RUNS, "grpo-base-s3", "--metrics", "train/kl", "--ignore-outliers"),
    "runtime_dark.png": (
        RUNS, "grpo-base-s1", "--metrics", "train/reward", "--x-axis", "runtime", "--theme", "dark",
        "--smoothing", "gaussian", "--smoothing-weight", "6",
    ),
    "single_run.png": (RUNS, "grpo-base-s1", "--metrics", "train/reward_std"),
    "running_mean.png": (RUNS, "group:baseline", "--metrics", "train/kl", "--smooth", "20"),
}  # fmt: skip
# Picture → the words that draw it from the sweep that sweep.py trains.
SWEEP = {
    "scatter.png": ("*", "--kind", "scatter", "--x", "config.lr", "--y", "eval/accuracy"),
    "scatter_groups_dark.png": (
        "*", "--kind", "scatter", "--x", "config.lr", "--y", "eval/accuracy", "--color-by", "config.optimizer",
        "--theme", "dark",
    ),
    "parallel.png": ("*", "--kind", "parallel", "--y", "eval/accuracy", "--dpi", "120"),
    "parallel_dark.png": (
        "*", "--kind", "parallel", "--y", "eval/accuracy", "--group-by", "all-but:config.seed", "--theme", "dark",
        "--dpi", "120",
    ),
    "bars.png": ("*", "--kind", "bars", "--y", "eval/accuracy"),
    "bars_dark.png": ("*", "--kind", "bars", "--y", "eval/accuracy", "--theme", "dark"),
}  # fmt: skip
SHEETS = {
    "contact_sheet.png": (RUNS, "grpo-base-s1", "--keys", "policy/token_probabilities", "--sheet"),
}


# Picture → the file that `wandb_report --figures` writes for the finding.
EVIDENCE = {
    "evidence_reward_hacking.png": "reward-hacking__reward_hacking.png",
    "evidence_entropy_collapse.png": "entropy-collapse__entropy_collapse.png",
    "evidence_nan_or_inf.png": "lr-too-high__nan_or_inf.png",
    "evidence_kl_too_low.png": "kl-leash__kl_too_low.png",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pictures to the folder given, else here; return the first exit code that is not 0."""
    words = list(sys.argv[1:] if argv is None else argv)
    target = Path(words[0]) if words else HERE
    sys.path[:0] = [str(ROOT / "scripts"), str(ROOT), str(HERE)]
    from diagnoses import write_diagnoses
    from sweep import write_sweep

    from wandb_toolkit.commands import download_plots, generate_plots

    target.mkdir(parents=True, exist_ok=True)
    code = draw_evidence(target)
    if code:
        return code
    write_diagnoses(target, keep)
    with tempfile.TemporaryDirectory() as runs:
        write_sweep(Path(runs))
        jobs = [(generate_plots, name, (runs, *how), "*.png") for name, how in SWEEP.items()]
        code = draw(jobs, target)
    if code:
        return code
    jobs = [(generate_plots, name, how, "*.png") for name, how in PICTURES.items()]
    jobs += [(download_plots, name, how, "sheet__*.png") for name, how in SHEETS.items()]
    return draw(jobs, target)


def draw(jobs: Sequence[tuple[ModuleType, str, Sequence[str], str]], target: Path) -> int:
    """Write each picture (command, name, words, the file drawn); return the first exit code that is not 0."""
    for command, name, (runs, *rest), glob in jobs:
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.redirect_stdout(io.StringIO()):
                code = int(command.main([str(ROOT / runs), *rest, "--quiet", "--output", folder]))
            if code:
                return code
            (drawn,) = Path(folder).glob(glob)
            keep(drawn, target / name, marks=name in SWEEP)
    return 0


def draw_evidence(target: Path) -> int:
    """Write the pictures of findings; return the exit code of the report."""
    from wandb_toolkit.commands import wandb_report

    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            code = int(wandb_report.main([str(ROOT / RUNS), "--figures", folder, "--quiet"]))
        if not code:
            for name, drawn in EVIDENCE.items():
                keep(Path(folder, drawn), target / name)
    return code


def keep(drawn: Path, place: Path, *, marks: bool = False) -> None:
    """Write a picture with 256 colours; with `marks` those of few pixels are among them."""
    from PIL import Image

    method = Image.Quantize.MAXCOVERAGE if marks else Image.Quantize.MEDIANCUT
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(256, method=method, dither=Image.Dither.NONE).save(place, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
