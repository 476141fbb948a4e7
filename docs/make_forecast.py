"""Write the example of docs/forecast.md: `.venv/bin/python docs/make_forecast.py`.

The example runs, with the log of one of them cut where half of it had been written, looked at in that moment.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
PAGE = HERE / "forecast.md"
RUNS = HERE.parent / "examples" / "wandb"
CUT, SHARE = "grpobas3", 0.5
MOMENT = "2026-11-21T21:33:45Z"
_BLOCK = re.compile(r"(<!-- docs/make_forecast.py -->\n\n```\n).*?(```\n)", re.DOTALL)


def page() -> str:
    """Return the page with its example as it is now."""
    return _BLOCK.sub(lambda match: f"{match[1]}{example()}{match[2]}", PAGE.read_text(encoding="utf-8"), count=1)


def example() -> str:
    """Return the report's section on a run at half its log."""
    from datetime import datetime

    from wandb_toolkit.commands.wandb_report import main

    said = io.StringIO()
    then = datetime.fromisoformat(MOMENT).timestamp()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "wandb"
        shutil.copytree(RUNS, runs)
        [log] = runs.glob(f"*{CUT}/*.wandb")
        log.write_bytes(log.read_bytes()[: int(log.stat().st_size * SHARE)])
        with (
            mock.patch.object(time, "time", return_value=then),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            code = main([str(runs), "--forecast", "--as-of", MOMENT])
    if code:
        raise RuntimeError(f"the report ended with {code}")
    lines = said.getvalue().splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("## Where the running"))
    end = next(at for at, line in enumerate(lines) if at > begin and line.startswith("## "))
    return "\n".join(lines[begin:end]).rstrip() + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent / "scripts"))
    PAGE.write_text(page(), encoding="utf-8")
