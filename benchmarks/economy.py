"""What an agent writes and reads to answer ten usual questions about runs: our commands beside W&B's SDK.

python benchmarks/economy.py [--show NUMBER] [--json]

Both read from the test server on loopback: the eight example runs as ada/grpo-digits, and a made-up sweep of forty runs
as ada/sweep. For each question the agent's calls are made and counted: what it has to write (a command line, or a
script) and what it gets to read (stdout and stderr), in tokens of OpenAI's o200k vocabulary when the package
`bpe-openai` is there (it holds the vocabulary, so no network is needed), else as characters / 3.6. `facts` counts the
things a right answer needs, by looking for them in what was read.

The SDK's scripts are what a competent agent writes at first: short, printing what the question asks for. Where a
question names no metric, one call finds the names first. They judge nothing: that reading is left to the agent.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "scripts"))
from economy_runs import QUESTIONS, Question, make_store  # noqa: E402

from wandb_server import KEY, Server  # noqa: E402

LIMIT = 1500  # tokens of output a question


@dataclass(frozen=True)
class Cost:
    """What one way of answering takes."""

    calls: int
    written: int  # tokens
    read: int  # tokens
    chars: int  # characters read
    facts: int  # of those that the answer needs
    failed: bool
    text: str


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", type=int, metavar="N", help="print what was read for question N")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    count, how = tokenizer()
    chosen = [QUESTIONS[args.show - 1]] if args.show else QUESTIONS
    rows = []
    with tempfile.TemporaryDirectory() as folder, Server(make_store()).warm() as server:
        environ = surroundings(Path(folder), server.url)
        for question in chosen:
            ours = cost(question, [command(line) for line in question.ours], question.ours, folder, environ, count)
            sdk = cost(
                question, [[sys.executable, "-c", s] for s in question.sdk], question.sdk, folder, environ, count
            )
            rows.append((question, ours, sdk))
            if args.show:
                print(f"==== {question.text}\n==== ours\n{ours.text}\n==== SDK\n{sdk.text}")
    if args.json:
        print(json.dumps([{"question": q.text, "ours": vars(o), "sdk": vars(s)} for q, o, s in rows], indent=1))
    else:
        print(f"Tokens: {how}.\n\n{table(rows)}")
    return int(any(o.read > LIMIT or o.calls > 1 or o.failed or o.facts < len(q.needs) for q, o, _ in rows))


def tokenizer() -> tuple[Callable[[str], int], str]:
    """Return what counts tokens, and its name."""
    try:
        import bpe_openai
    except ImportError:
        return (lambda text: round(len(text) / 3.6)), "characters / 3.6 (install bpe-openai to count)"
    encoding = bpe_openai.get_encoding("o200k_base")
    return (lambda text: len(encoding.encode(text))), "o200k_base, counted by bpe-openai"


def surroundings(folder: Path, url: str) -> dict[str, str]:
    """Return the variables of a process that knows the server and nothing else of W&B."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "HOME": str(folder), "WANDB_SILENT": "true"}
    return {**keep, **own, "MPLBACKEND": "Agg", "XDG_CACHE_HOME": str(folder / "cache")}


def command(line: str) -> list[str]:
    """Return the process for a command line as the skills give it."""
    _, script, *words = shlex.split(line)
    return [sys.executable, str(ROOT / script), *words]


def cost(
    question: Question,
    commands: Sequence[Sequence[str]],
    written: Sequence[str],
    folder: str,
    environ: dict[str, str],
    count: Callable[[str], int],
) -> Cost:
    """Make the calls and return what they took."""
    parts, failed = [], False
    for words in commands:
        done = subprocess.run(  # noqa: S603
            words, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        failed |= done.returncode != 0
        parts.append(done.stdout + done.stderr)
    text = "".join(parts)
    facts = sum(bool(re.search(need, text, re.DOTALL)) for need in question.needs)
    return Cost(len(commands), count("\n".join(written)), count(text), len(text), facts, failed, text)


def table(rows: Sequence[tuple[Question, Cost, Cost]]) -> str:
    """Return the table in Markdown."""
    head = "| question | ours: calls | written | read | facts | SDK: calls | written | read | facts | read, ratio |"
    lines = [head, "|---|" + "--:|" * 9]
    for question, ours, sdk in rows:
        cells = [question.text]
        for one in (ours, sdk):
            mark = " (failed)" if one.failed else ""
            cells += [f"{one.calls}{mark}", str(one.written), str(one.read), f"{one.facts}/{len(question.needs)}"]
        lines.append("| " + " | ".join([*cells, f"{sdk.read / max(ours.read, 1):.1f}"]) + " |")
    sums = [sum(getattr(row[way], name) for row in rows) for way in (1, 2) for name in ("calls", "written", "read")]
    needs = sum(len(question.needs) for question, _, _ in rows)
    facts = [sum(row[way].facts for row in rows) for way in (1, 2)]
    ratio = sums[5] / max(sums[2], 1)
    own, theirs = " | ".join(map(str, sums[:3])), " | ".join(map(str, sums[3:]))
    lines.append(f"| all | {own} | {facts[0]}/{needs} | {theirs} | {facts[1]}/{needs} | {ratio:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
