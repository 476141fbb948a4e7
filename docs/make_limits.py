"""Write docs/limits.md from the limits themselves: `.venv/bin/python docs/make_limits.py`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scripts"))

from wandb_toolkit.limits import LIMITS  # noqa: E402 found by the line above

HEAD = """\
# Limits

<!-- Written by docs/make_limits.py. Do not edit: run it again. -->

Logs, files and answers may come from strangers, and a small one can unpack into very much. Each command reads at most
this much, and says what it left out or refused and which limit it was. `--max NAME=N` moves a limit for one command and
may be repeated; the variable moves it for all commands and for Python. N may end in k, M or G (thousands, millions,
billions).

| Limit | Default | Of what | Variable |
|---|---:|---|---|
"""
TAIL = """
Other bounds have flags of their own: `--max-mb` (bytes of one file of `download_plots`), `--budget` and `--samples`
(points read from a server), `--timeout` (seconds of one server operation), `--limit` (rows of a table).

```sh
list_metrics ./wandb latest --max metrics=1M
WANDB_TOOLKIT_MAX_DOWNLOAD_BYTES=2G download_plots ./wandb latest
```
"""


def page() -> str:
    """Return the page."""
    rows = (f"| `{one.name}` | {one.default:,} | {one.counts} | `{one.variable}` |\n" for one in LIMITS.values())
    return HEAD + "".join(rows) + TAIL


if __name__ == "__main__":
    (HERE / "limits.md").write_text(page(), encoding="utf-8")
