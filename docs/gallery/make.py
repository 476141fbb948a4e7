"""Draw the pictures of this folder again, from the runs in examples/: `.venv/bin/python docs/gallery/make.py`.

generate_plots draws them into a temporary folder; here they become PNGs of 256 colours, a third of the size.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUNS = "examples/wandb"
# Picture → the words of generate_plots that draw it. README.md shows the same words.
PICTURES = {
    "compare_accuracy.png": (RUNS, "*", "--metrics", "eval/accuracy"),
    "compare_reward.png": (RUNS, "*", "--metrics", "train/reward"),
    "nan_marks.png": (RUNS, "lr-too-high,grpo-base-s1", "--metrics", "train/entropy"),
    "single_run.png": (RUNS, "grpo-base-s1", "--metrics", "train/reward_std"),
    "running_mean.png": (RUNS, "group:baseline", "--metrics", "train/kl", "--smooth", "20"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pictures to the folder given, else here; return the first exit code that is not 0."""
    words = list(sys.argv[1:] if argv is None else argv)
    target = Path(words[0]) if words else HERE
    sys.path.insert(0, str(ROOT / "scripts"))
    from PIL import Image

    from wandb_toolkit.commands import generate_plots

    target.mkdir(parents=True, exist_ok=True)
    for name, (runs, *rest) in PICTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.redirect_stdout(io.StringIO()):
                code = generate_plots.main([str(ROOT / runs), *rest, "--output", folder])
            if code:
                return code
            (drawn,) = Path(folder).glob("*.png")
            with Image.open(drawn) as picture:
                small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
                small.save(target / name, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
