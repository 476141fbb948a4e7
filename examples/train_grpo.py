"""Train a tiny policy with GRPO and log it with wandb, offline: a good run, two more seeds, and five that go wrong.

Each run's configuration differs from the good one in a single place, and that place really causes what the run shows
(`--list`). The algorithm is in grpo_core.py; this file is about the runs: what they are called, what they log, and what
they must not log.

    python examples/train_grpo.py --list
    python examples/train_grpo.py --only grpo-base-s1 --output-dir /somewhere
    python examples/train_grpo.py --force            # replace the committed runs: about a minute
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from grpo_core import EOS, MAX_LENGTH, REWARD_NAMES, Floats, GRPOConfig, GRPOTrainer, as_text, score

if TYPE_CHECKING:
    import wandb

PROJECT = "grpo-digits"
HEAT_MAP_PROMPT = (2, 6, 4)
MEDIA_STEPS = 80  # images and histograms every so many training steps
PATIENCE = 60  # give up after this many steps without a finite loss


@dataclass(frozen=True)
class RunSpec:
    name: str
    run_id: str  # fixed, so that documentation can name a run
    config: GRPOConfig
    group: str
    tags: tuple[str, ...]
    notes: str
    kill_at_step: int | None = None


RUNS = (
    RunSpec("grpo-base-s1", "grpobas1", GRPOConfig(seed=1), "baseline", ("baseline",), "The configuration that works."),
    RunSpec("grpo-base-s2", "grpobas2", GRPOConfig(seed=2), "baseline", ("baseline",), "The baseline, second seed."),
    RunSpec("grpo-base-s3", "grpobas3", GRPOConfig(seed=3), "baseline", ("baseline",), "The baseline, third seed."),
    RunSpec(
        "kl-leash",
        "klleash1",
        GRPOConfig(beta=20.0),
        "ablation",
        ("ablation", "beta"),
        "A KL penalty 5000 times the baseline's: is the reference policy worth staying close to?",
    ),
    RunSpec(
        "lr-too-high",
        "lrhigh01",
        GRPOConfig(learning_rate=2.0),
        "ablation",
        ("ablation", "learning-rate"),
        "How much learning rate does it take?",
    ),
    RunSpec(
        "entropy-collapse",
        "entcoll1",
        GRPOConfig(entropy_coef=-0.3),
        "ablation",
        ("ablation", "entropy"),
        "Entropy term with the sign turned round: certainty is rewarded.",
    ),
    RunSpec(
        "reward-hacking",
        "rewhack1",
        GRPOConfig(reward_weights=(1.0, 0.3, 0.2, 1.5)),
        "ablation",
        ("ablation", "reward"),
        "Adds the style judge's score to the reward.",
    ),
    RunSpec(
        "killed",
        "killed01",
        GRPOConfig(seed=4),
        "baseline",
        ("baseline", "preemptible"),
        "The baseline, fourth seed, on a machine that is taken away.",
        kill_at_step=210,
    ),
)


# --------------------------------------------------------------------------------------------------------------------
# One run: train and log (in a process of its own)
# --------------------------------------------------------------------------------------------------------------------


def private_settings() -> wandb.Settings:
    """Settings under which the log holds training data and nothing about the machine or its user.

    `x_disable_machine_info` would do much the same but also drops the system metrics, which are worth showing.
    """
    import wandb

    return wandb.Settings(
        host="localhost",  # otherwise the real host name goes into the run record
        x_disable_meta=True,  # no environment record: OS, paths, executable, arguments, CPU, user e-mail
        disable_git=True,  # no remote, no commit
        disable_code=True,
        save_code=False,
        disable_job_creation=True,
        x_save_requirements=False,  # no list of installed packages
        program="train_grpo.py",
        x_stats_sampling_interval=1.0,  # the runs take seconds; the default is 15
        x_stats_disk_paths=(),
        console="wrap_raw",
        symlink=False,  # no latest-run link
        silent=True,  # no messages with absolute paths on the captured console
    )


def run_config(config: GRPOConfig) -> dict[str, Any]:
    """What the run records as its config; two seeds of one configuration differ in `seed` alone."""
    return {
        **asdict(config),
        "reward_weights": list(config.reward_weights),
        "reward_funcs": list(REWARD_NAMES),
        "max_completion_length": MAX_LENGTH,
        "temperature": 1.0,
        "optim": "adam",
        "loss_type": "dapo",  # averaged over the tokens of the minibatch
        "algorithm": "grpo",
    }


def short(values: Mapping[str, float]) -> dict[str, float]:
    """The same numbers at six significant digits: a third off the size of the log."""
    return {name: float(f"{value:.6g}") for name, value in values.items()}


def heat_map(probabilities: Floats) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """RGB picture, white (0) to dark blue (1), with 12 x 12 pixels per cell."""
    cells = np.kron(np.nan_to_num(probabilities), np.ones((12, 12), dtype=np.float32))[..., None]
    white, blue = np.array([255.0, 255.0, 255.0]), np.array([8.0, 48.0, 107.0])
    return np.asarray(white + cells * (blue - white)).astype(np.uint8)


def log_evaluation(run: wandb.Run, trainer: GRPOTrainer, step: int) -> float:
    """Evaluate and log in a call of its own, as trainers do: these rows share nothing with the training rows."""
    import wandb

    metrics, _, tokens = trainer.evaluate()
    row: dict[str, Any] = {f"eval/{name}": value for name, value in short(metrics).items()}
    if step % MEDIA_STEPS == 0:
        low, high, count = HEAT_MAP_PROMPT
        row["policy/token_probabilities"] = wandb.Image(
            heat_map(trainer.token_table(HEAT_MAP_PROMPT)),
            caption=f"{count} digits from {low} to {high}; rows: 0-9, !, end; columns: position",
        )
        counts, edges = np.histogram((tokens != EOS).sum(axis=1), bins=np.arange(MAX_LENGTH + 2))
        row["eval/completion_length"] = wandb.Histogram(np_histogram=(counts.tolist(), edges.tolist()))
    run.log({**row, "train/global_step": step})
    return metrics["accuracy"]


def log_samples(run: wandb.Run, trainer: GRPOTrainer) -> None:
    """A table of a few held-out prompts and what the policy writes."""
    import wandb

    _, prompts, tokens = trainer.evaluate(samples=1)
    correct = score(prompts, tokens)["correct"]
    table = wandb.Table(columns=["low", "high", "count", "completion", "correct"])
    for prompt, completion, right in list(zip(prompts, tokens, correct, strict=True))[:16]:
        table.add_data(*(int(value) for value in prompt), as_text(completion), bool(right))
    # Bound by hand, a table is logged as a file alone. Left to `log`, it also becomes an artifact, whose record holds
    # the absolute path of a staging directory.
    table.bind_to_run(run, "samples", run.step)
    run.log({"samples": table})


def log_training(run: wandb.Run, window: list[dict[str, float]], num_tokens: int, step: int) -> dict[str, float]:
    """Log the means over the steps since the last call, and return them. A NaN in one step is a NaN in the mean."""
    means = {name: float(np.mean([row[name] for row in window])) for name in window[0]}
    row = {f"train/{name}": value for name, value in short(means).items()}
    run.log({**row, "train/num_tokens": num_tokens, "train/global_step": step})
    return means


def train_and_log(run: wandb.Run, trainer: GRPOTrainer) -> None:
    """The training loop, until `max_steps` or until the loss has been NaN for too long."""
    config = trainer.config
    accuracy = log_evaluation(run, trainer, 0)
    finite_at = 0
    window: list[dict[str, float]] = []
    for step in range(1, config.max_steps + 1):
        started = time.perf_counter()
        metrics = trainer.step(step)
        window.append({**metrics, "step_time": time.perf_counter() - started})
        if np.isfinite(metrics["loss"]):
            finite_at = step
        if step % config.logging_steps == 0:
            metrics = log_training(run, window, trainer.num_tokens, step)
            window.clear()
        if step % config.eval_steps == 0:
            accuracy = log_evaluation(run, trainer, step)
            shown = "  ".join(f"{name} {metrics[name]:.4g}" for name in ("reward", "kl", "entropy"))
            print(f"step {step:3d}/{config.max_steps}  {shown}  accuracy {accuracy:.3f}", flush=True)
        if step - finite_at >= PATIENCE:
            print(f"no finite loss since step {finite_at}: stopping early")
            break
    print(f"done: accuracy {accuracy:.3f} on held-out prompts")


def train(spec: RunSpec, output_dir: Path) -> None:
    """Train one run and log it under `output_dir`/wandb."""
    import wandb

    trainer = GRPOTrainer(spec.config)
    with wandb.init(
        project=PROJECT,
        id=spec.run_id,
        name=spec.name,
        group=spec.group,
        job_type="train",
        tags=["grpo", "numpy", *spec.tags],
        notes=spec.notes,
        config=run_config(spec.config),
        mode="offline",
        dir=output_dir,
        settings=private_settings(),
    ) as run:
        run.define_metric("train/global_step")
        run.define_metric("eval/*", step_metric="train/global_step")
        print(f"{spec.name}: {len(trainer.train_prompts)} training prompts, {len(trainer.eval_prompts)} held out")
        with np.errstate(all="ignore"):  # a diverging run overflows; that is the point of it
            train_and_log(run, trainer)
            log_samples(run, trainer)


# --------------------------------------------------------------------------------------------------------------------
# All runs: start each in its own process, kill the one that is to be killed, tidy up
# --------------------------------------------------------------------------------------------------------------------


def run_directories(spec: RunSpec, output_dir: Path) -> list[Path]:
    """The directories wandb has made for this run id, oldest first."""
    return sorted((output_dir / "wandb").glob(f"offline-run-*-{spec.run_id}"))


def child_environment(scratch: str) -> dict[str, str]:
    """The environment without anybody's W&B settings or key, and with one thread per run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    folders = dict.fromkeys(("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"), scratch)
    return {**kept, **threads, **folders, "WANDB_ERROR_REPORTING": "false", "PYTHONUNBUFFERED": "1"}


def descendants(pid: int) -> Iterator[int]:
    """The processes started by `pid`, directly or not."""
    command = ["ps", "-A", "-o", "pid=,ppid="]  # where `ps` lives differs between systems
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listing.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
        yield from more


def kill_outright(process: subprocess.Popen[str]) -> None:
    """SIGKILL for the training and for wandb's own process, as when a machine goes away.

    wandb-core lives in a session of its own: killing the process group alone would let it write a tidy end.
    """
    for pid in (*descendants(process.pid), process.pid):
        os.kill(pid, signal.SIGKILL)


def launch(spec: RunSpec, output_dir: Path) -> bool:
    """Run one training in a child process; whether it ended the way it should."""
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.Popen(  # noqa: S603 - this script with one of its own run names
            [sys.executable, __file__, "--child", spec.name, "--output-dir", str(output_dir)],
            env=child_environment(scratch),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        killed = False
        for line in process.stdout:
            print(f"[{spec.name}] {line}", end="", file=sys.stderr)
            if spec.kill_at_step is not None and line.startswith(f"step {spec.kill_at_step:3d}/"):
                kill_outright(process)
                killed = True
        code = process.wait()
    for directory in run_directories(spec, output_dir):
        for leftover in ("logs", "tmp"):  # the SDK's debug logs are full of absolute paths
            shutil.rmtree(directory / leftover, ignore_errors=True)
    return killed if spec.kill_at_step is not None else code == 0


def make_runs(specs: Iterable[RunSpec], output_dir: Path, *, force: bool) -> int:
    """Train `specs` one after the other; prints each run's directory. 0 when every run came out as planned."""
    specs = list(specs)
    earlier = [directory for spec in specs for directory in run_directories(spec, output_dir)]
    if earlier and not force:
        print(f"error: {earlier[0]} exists; --force replaces it, --output-dir writes elsewhere", file=sys.stderr)
        return 1
    for directory in earlier:
        shutil.rmtree(directory)
    output_dir.mkdir(parents=True, exist_ok=True)
    failed = []
    for spec in specs:
        if launch(spec, output_dir):
            print(*run_directories(spec, output_dir), sep="\n", flush=True)
        else:
            failed.append(spec.name)
    if failed:
        print(f"error: did not end as planned: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def build_parser() -> argparse.ArgumentParser:
    names = [spec.name for spec in RUNS]
    parser = argparse.ArgumentParser(
        description="Train a tiny policy with GRPO eight times and log each run with wandb, offline."
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help="train only these runs (see --list)")
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path(__file__).parent,
        metavar="DIR",
        help="the runs go to DIR/wandb (default: the folder of this script)",
    )
    parser.add_argument("--force", action="store_true", help="replace earlier directories of the same runs")
    parser.add_argument("--list", action="store_true", help="print the runs and leave")
    parser.add_argument("--child", choices=names, help=argparse.SUPPRESS)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    by_name = {spec.name: spec for spec in RUNS}
    if args.list:
        for spec in RUNS:
            print(f"{spec.name:<17} {spec.run_id}  {spec.notes}")
        return 0
    if args.child:
        train(by_name[args.child], args.output_dir)
        return 0
    chosen = dict.fromkeys(args.only or by_name)
    return make_runs((by_name[name] for name in chosen), args.output_dir.resolve(), force=args.force)


if __name__ == "__main__":
    raise SystemExit(main())
