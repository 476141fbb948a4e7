"""Measure what faults, hostile input, damage and kills do to the commands, and write docs/reliability.md.

    make reliability        # minutes; tests/docs/test_reliability.py does the same with little of each

Each part returns its figures. Random choices are seeded; which request meets which fault still depends on threads.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from reliability_files import damaged_logs, full_disk, hostile_directories, kills, two_at_once
from reliability_servers import keys, mutations, slow, soak
from repository import ROOT

PAGE = ROOT / "docs" / "reliability.md"


def page(parts: dict[str, dict[str, int | float]], amounts: str = "") -> str:
    """Return the page with the figures of each part; `amounts` are the flags that they were measured with."""
    lines = [
        "# Reliability, in figures",
        "",
        "Made by `make reliability`; a short form of each part runs in the suite (`tests/docs/test_reliability.py`).",
        "What is not measured here, and the tests that show it: [SECURITY.md](../SECURITY.md).",
    ]
    if amounts:
        lines += [
            "",
            f"These figures: `python tests/reliability.py {amounts}`; without flags, 10,000 requests and logs.",
        ]
    for title, figures in parts.items():
        lines += ["", f"## {title}", "", "| What | Count |", "|---|---:|"]
        lines += [f"| {name} | {value:,} |" for name, value in figures.items()]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Measure all parts and write the page."""
    parser = argparse.ArgumentParser(
        description="Measure faults, hostile input, damage and kills; write docs/reliability.md."
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100, help="starts of each writing command")
    parser.add_argument("--mutations", type=int, default=2_000, help="answers with a wrong value")
    parser.add_argument("--pairs", type=int, default=10, help="times that each writing command is started twice")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        key_figures = keys(Path(place))
    parts = {
        "A server that fails 5% of its requests (status, page, cut, dropped, garbled)": soak(args.requests),
        "Servers that answer late, or drop by drop, for ever or once": slow(2.0),
        "Answers with one wrong value": mutations(args.mutations),
        "Where the API key goes: from three places, to twelve kinds of address and redirects to them": key_figures,
        "Damaged logs": damaged_logs(args.logs),
        "A sound run beside hostile directories": hostile_directories(),
        "Writing commands killed at random moments": kills(args.kills),
        "Writing commands started twice at once": two_at_once(args.pairs),
        "No file may grow above a size (a full disk)": full_disk((0, 1000, 5_000, 20_000, 50_000, 100_000, 1_000_000)),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    parts["The measuring process"] = {"peak memory, MB": peak}
    amounts = " ".join(f"--{name} {value}" for name, value in vars(args).items())
    PAGE.write_text(page(parts, amounts), encoding="utf-8")
    print(f"{PAGE}: written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
