"""The questions of economy.py, each with the ways to answer it, and the runs they are about."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from wandb_server import EPOCH, Export, History, Run, Store
from wandb_server.load import load

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "wandb"
RATES, BETAS, SEEDS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), (0.0, 0.01, 0.05, 0.2), (1, 2)
ROWS = 300


def make_store() -> Store:
    """Return the example runs as ada/grpo-digits, and a sweep over learning rate, beta and seed as ada/sweep."""
    store = load(EXAMPLES)
    rng = np.random.default_rng(7)
    cases = [(rate, beta, seed) for rate in RATES for beta in BETAS for seed in SEEDS]
    store.project("ada", "sweep").add(*(swept(n, *case, rng) for n, case in enumerate(cases)))
    return store


def swept(number: int, rate: float, beta: float, seed: int, rng: np.random.Generator) -> Run:
    """Return a run whose accuracy depends most on the learning rate; the highest rate ends in NaN."""
    steps = np.arange(ROWS)
    level = 0.9 * math.exp(-((math.log10(rate) + 2.75) ** 2) / 0.8) * (1 - beta)
    course = 1 - np.exp(-steps / 60)
    accuracy = level * course + rng.normal(0, 0.006, ROWS) + rng.normal(0, 0.005)
    broken = rate == RATES[-1]
    columns = {
        "train/reward": level * 1.4 * course + rng.normal(0, 0.05, ROWS),
        "train/loss": 0.05 * course + rng.normal(0, 0.02, ROWS),
        "train/kl": (0.6 / (1 + 20 * beta)) * course * rate**0.3 * 8 + np.abs(rng.normal(0, 0.01, ROWS)),
        "train/entropy": 1.8 * np.exp(-steps / 400) + rng.normal(0, 0.02, ROWS),
        "train/grad_norm": np.exp(rng.normal(-1, 0.2, ROWS)),
        "train/learning_rate": rate * np.minimum(1, steps / 20),
        "eval/accuracy": np.clip(accuracy, 0, 1)[::10],
        **{f"timing/{name}_s": np.abs(rng.normal(1, 0.05, ROWS)) for name in ("rollout", "update", "sync", "save")},
        **{f"data/{name}": rng.normal(100, 5, ROWS) for name in ("prompt_length", "response_length", "unique", "dup")},
    }
    if broken:
        for name in ("train/loss", "train/grad_norm", "train/kl"):
            columns[name] = np.where(steps > 120 + 10 * seed, np.nan, columns[name])
    config: dict[str, Any] = {
        "learning_rate": rate,
        "beta": beta,
        "seed": seed,
        "model": "tiny-1b",
        "optimizer": "adamw",
    }
    config |= {f"{part}_{name}": n for part in ("data", "model", "vllm") for n, name in enumerate(("a", "b", "c", "d"))}
    run = Run(
        f"sw{number:06d}",
        History.from_arrays(columns, {"eval/accuracy": 10}),
        display_name=f"sweep-lr{rate:g}-b{beta:g}-s{seed}",
        state="finished",
        config=config,
        tags=["sweep"],
        created_at=EPOCH + timedelta(minutes=number),
        heartbeat_at=EPOCH + timedelta(minutes=number + 30),
        exit_code=0,
        export=Export(ROWS),
    )
    run.summary = dict(run.rows.last_values)
    return run


@dataclass(frozen=True)
class Question:
    """A question, our command lines, the SDK's scripts, and patterns of what a right answer needs."""

    text: str
    ours: tuple[str, ...]
    sdk: tuple[str, ...]
    needs: tuple[str, ...]


API = "import wandb\napi = wandb.Api()\n"
KEYS = (
    API + 'run = api.runs("{0}", order="-created_at")[0]\nprint(run.id, run.name, run.state)\nprint(dict(run.summary))'
)
SIX = "train/loss,train/reward,train/kl,train/entropy,train/grad_norm,eval/accuracy"

SHORT = "good,bad,ugly,comparison.note,comparison.signals,next_experiments.title"  # as skills/wandb/SKILL.md says
ACCURACY = "summary_metrics.eval/accuracy"

QUESTIONS = [
    Question(
        "Is my latest run healthy?",
        ("python3 scripts/wandb_report.py ada/grpo-digits --latest 1",),
        (
            KEYS.format("ada/grpo-digits"),
            API + 'run = api.run("ada/grpo-digits/killed01")\n'
            f'for key in "{SIX}".split(","):\n'
            "    print(run.history(keys=[key], samples=40, pandas=False))",
        ),
        ("killed01", "crashed|without an exit record", "eval/accuracy", "0.96"),
    ),
    Question(
        "Which of these 40 runs is best, and why?",
        (f"python3 scripts/wandb_report.py ada/sweep --fields {SHORT}",),
        (API + 'for run in api.runs("ada/sweep"):\n    print(run.name, run.state, run.config, dict(run.summary))',),
        ("sweep-lr0.00[13]-b0-s[12]", "learning_rate", "beta", "(?i)nan", "eval/accuracy"),
    ),
    Question(
        "Plot the rewards of these two",
        ("python3 scripts/generate_plots.py ada/grpo-digits grpo-base-s1,reward-hacking --metrics train/reward",),
        (
            API + "import matplotlib.pyplot as plt\n"
            'names = ["grpo-base-s1", "reward-hacking"]\n'
            'for run in api.runs("ada/grpo-digits", filters={"display_name": {"$in": names}}):\n'
            '    rows = run.history(keys=["train/reward"], samples=2000)\n'
            '    plt.plot(rows["_step"], rows["train/reward"].ewm(alpha=0.1).mean(), label=run.name)\n'
            'plt.xlabel("step"); plt.ylabel("train/reward"); plt.legend()\n'
            'plt.savefig("reward.png"); print("reward.png")',
        ),
        (r"\.png", "1\\.9", "1\\.4"),
    ),
    Question(
        "What did run X log?",
        ("python3 scripts/list_metrics.py ada/grpo-digits grpo-base-s1",),
        (
            API + 'run = api.run("ada/grpo-digits/grpobas1")\nprint(dict(run.summary))\n'
            "print(run.history(samples=1000).describe().to_string())",
        ),
        ("train/reward", "eval/accuracy", "samples", "policy/token_probabilities", "33"),
    ),
    Question(
        "Which runs failed or crashed, and when?",
        ("python3 scripts/list_runs.py ada/grpo-digits --state crashed,failed,killed",),
        (
            API
            + 'for run in api.runs("ada/grpo-digits", filters={"state": {"$in": ["crashed", "failed", "killed"]}}):\n'
            "    print(run.id, run.name, run.state, run.created_at, run.lastHistoryStep)",
        ),
        ("killed01", "crashed", "2026-11-21", "12[23]"),
    ),
    Question(
        "Why is the loss of lr-too-high NaN?",
        ("python3 scripts/wandb_report.py ada/grpo-digits --runs lr-too-high",),
        (
            API + 'run = api.run("ada/grpo-digits/lrhigh01")\nprint(run.config)\n'
            f'for key in "{SIX}".split(","):\n'
            "    for row in run.scan_history(keys=[key, '_step']):\n        print(row)",
        ),
        ("grad_norm", "step.{0,4}10\\b", "step.{0,4}13\\b", "learning_rate|lr"),
    ),
    Question(
        "Order the runs by eval accuracy",
        (f"python3 scripts/list_runs.py ada/sweep --order -{ACCURACY} --limit 20 --fields name,{ACCURACY} --jsonl",),
        (
            API + 'runs = sorted(api.runs("ada/sweep"), key=lambda r: -r.summary.get("eval/accuracy", 0))\n'
            'for run in runs[:20]:\n    print(run.name, run.summary.get("eval/accuracy"))',
        ),
        ("sweep-lr0.00[13]-b0-s[12]", "0\\.8"),
    ),
    Question(
        "What differs between these two runs, and which is better?",
        ("python3 scripts/wandb_report.py ada/grpo-digits --runs grpo-base-s1,kl-leash",),
        (
            API + 'a, b = api.run("ada/grpo-digits/grpobas1"), api.run("ada/grpo-digits/klleash1")\n'
            "for key in sorted({*a.config, *b.config}):\n"
            "    if a.config.get(key) != b.config.get(key):\n        print(key, a.config.get(key), b.config.get(key))\n"
            "print(dict(a.summary)); print(dict(b.summary))",
        ),
        ("beta", "0\\.98", "0\\.16", "20"),
    ),
    Question(
        "Highest and last eval accuracy of X, and at which step?",
        ("python3 scripts/list_metrics.py ada/grpo-digits grpo-base-s2 --pattern eval/accuracy",),
        (
            API + 'run = api.run("ada/grpo-digits/grpobas2")\n'
            'rows = list(run.scan_history(keys=["eval/accuracy", "_step"]))\n'
            'rows = [row for row in rows if row["eval/accuracy"] is not None]\n'
            'best = max(rows, key=lambda row: row["eval/accuracy"])\nprint(best, rows[-1], len(rows))',
        ),
        ("0\\.98", "@ \\d+|_step': \\d+"),
    ),
    Question(
        "Which of my projects were active last?",
        ("python3 scripts/list_projects.py --entity ada",),
        (API + 'for project in api.projects("ada"):\n    print(project.name, project.created_at)',),
        ("grpo-digits", "sweep", "\\b8\\b", "\\b40\\b"),
    ),
]
