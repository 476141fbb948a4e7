"""GRPO in plain NumPy: the digits task, the policy network and the update rule.

The task. A prompt is ``(low, high, count)``. A right answer is ``count`` digits, each within ``low..high``, none equal
to the one before it, and then the end token. There are many right answers to each prompt, so a healthy policy keeps
most of its entropy: it learns *which* answers are right, not one of them by heart.

The policy. One tanh layer over one-hot (low, high, count, position, previous token), softmax over 12 tokens. The
gradient is written out by hand in `Policy.backward`; everything runs in float32, as a real training would.

Nothing here knows about W&B: `GRPOTrainer.step` returns a plain dict of metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

DIGITS = 10
BANG, EOS, VOCAB = 10, 11, 12  # tokens 0..9 are the digits themselves
BOS = 12  # only ever seen as "previous token"
SYMBOLS = "0123456789!$"
COUNTS = (2, 3, 4, 5, 6)  # how many digits a prompt may ask for
MAX_LENGTH = 10  # completions are cut here, end token included
REWARD_NAMES = ("correct", "in_range", "length", "emphasis")


@dataclass(frozen=True)
class GRPOConfig:
    """Hyper-parameters, under the names TRL's `GRPOConfig` uses where it has one."""

    seed: int = 1
    max_steps: int = 320
    learning_rate: float = 1e-3
    lr_scheduler_type: str = "cosine"
    warmup_steps: int = 32
    beta: float = 0.004  # weight of the KL penalty
    epsilon: float = 0.2  # clip range of the probability ratio
    entropy_coef: float = 0.003  # bonus when positive; a negative value rewards certainty
    num_generations: int = 8  # completions per prompt: one group
    prompts_per_step: int = 32
    num_iterations: int = 4  # passes over each batch of completions
    minibatches: int = 2
    max_grad_norm: float = 1.0
    reward_weights: tuple[float, ...] = (1.0, 0.3, 0.2, 0.0)  # in the order of REWARD_NAMES
    hidden_size: int = 64
    logging_steps: int = 2
    eval_steps: int = 10


# --------------------------------------------------------------------------------------------------------------------
# Task: prompts and verifiable rewards
# --------------------------------------------------------------------------------------------------------------------


def make_prompts() -> tuple[Ints, Ints]:
    """(train, held-out) prompts, each of shape (n, 3); the split is the same for every run."""
    prompts = np.array(
        [(lo, hi, n) for lo in range(DIGITS) for hi in range(lo + 2, DIGITS) for n in COUNTS], dtype=np.int64
    )
    order = np.random.default_rng(20240607).permutation(len(prompts))
    held_out = len(prompts) // 4
    return prompts[order[held_out:]], prompts[order[:held_out]]


def score(prompts: Ints, tokens: Ints) -> dict[str, Floats]:
    """Each reward component per completion; `tokens` is (n, MAX_LENGTH), padded with EOS after the end."""
    low, high, count = (prompts[:, i : i + 1] for i in range(3))
    written = tokens != EOS
    length = written.sum(1)
    in_range = written & (tokens < DIGITS) & (tokens >= low) & (tokens <= high)
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & written[:, 1:]
    exact = length == count[:, 0]
    return {
        "correct": (exact & (in_range.sum(1) == length) & ~repeats.any(1)).astype(np.float32),
        "in_range": (in_range.sum(1) / np.maximum(length, 1)).astype(np.float32),
        "length": np.maximum(0.0, 1.0 - np.abs(length - count[:, 0]) / count[:, 0]).astype(np.float32),
        # A stand-in for a style judge that likes "!". It never helps the task: weighting it is an invitation to hack.
        "emphasis": (tokens == BANG).any(1).astype(np.float32),
    }


# --------------------------------------------------------------------------------------------------------------------
# Policy: features -> tanh -> softmax, with a hand-written gradient, and Adam
# --------------------------------------------------------------------------------------------------------------------

_WIDTHS = (DIGITS, DIGITS, max(COUNTS) + 1, MAX_LENGTH, VOCAB + 1)  # low, high, count, position, previous token
_OFFSETS = np.cumsum((0, *_WIDTHS[:-1]))


def features(prompts: Ints, position: Ints, previous: Ints) -> Floats:
    """One-hot rows of shape (n, 50) for the state in which one token is chosen."""
    columns = np.column_stack([prompts, position, previous]) + _OFFSETS
    rows = np.zeros((len(prompts), sum(_WIDTHS)), dtype=np.float32)
    np.put_along_axis(rows, columns, np.float32(1.0), axis=1)
    return rows


def log_softmax(logits: Floats) -> Floats:
    shifted: Floats = logits - logits.max(axis=1, keepdims=True)
    total: Floats = np.exp(shifted).sum(axis=1, keepdims=True)
    return shifted - np.log(total)


class Policy:
    """The network's parameters and the two directions through it."""

    def __init__(self, hidden_size: int, rng: np.random.Generator) -> None:
        inputs = sum(_WIDTHS)
        self.params: dict[str, Floats] = {
            "w1": (rng.standard_normal((inputs, hidden_size)) * 0.3).astype(np.float32),
            "b1": np.zeros(hidden_size, dtype=np.float32),
            "w2": (rng.standard_normal((hidden_size, VOCAB)) * 0.05).astype(np.float32),
            "b2": np.zeros(VOCAB, dtype=np.float32),
        }

    def copy(self) -> Policy:
        twin = object.__new__(Policy)
        twin.params = {name: value.copy() for name, value in self.params.items()}
        return twin

    def forward(self, x: Floats) -> tuple[Floats, Floats]:
        """(hidden activations, log probabilities of every token)."""
        hidden = np.tanh(x @ self.params["w1"] + self.params["b1"])
        return hidden, log_softmax(hidden @ self.params["w2"] + self.params["b2"])

    def backward(self, x: Floats, hidden: Floats, grad_logits: Floats) -> dict[str, Floats]:
        grad_hidden = (grad_logits @ self.params["w2"].T) * (1.0 - hidden**2)
        return {
            "w1": x.T @ grad_hidden,
            "b1": grad_hidden.sum(0),
            "w2": hidden.T @ grad_logits,
            "b2": grad_logits.sum(0),
        }

    def generate(self, prompts: Ints, rng: np.random.Generator) -> Ints:
        """Sampled completions (temperature 1), shape (n, MAX_LENGTH), EOS from the end on."""
        tokens = np.full((len(prompts), MAX_LENGTH), EOS, dtype=np.int64)
        previous = np.full(len(prompts), BOS, dtype=np.int64)
        alive = np.ones(len(prompts), dtype=bool)
        for position in range(MAX_LENGTH):
            _, logp = self.forward(features(prompts, np.full_like(previous, position), previous))
            # Inverse CDF. With NaN probabilities every comparison is false and the choice is the last token, EOS, so
            # a diverged policy keeps "training" the way a framework without checks does.
            cdf = np.exp(logp).cumsum(axis=1)
            draw = VOCAB - 1 - (cdf[:, :-1] >= rng.random((len(prompts), 1))).sum(axis=1)
            tokens[:, position] = np.where(alive, draw, EOS)
            previous = tokens[:, position]
            alive &= previous != EOS
        return tokens


class Adam:
    def __init__(self, params: Mapping[str, Floats]) -> None:
        self.moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in params.items()}
        self.updates = 0

    def update(self, params: dict[str, Floats], grads: Mapping[str, Floats], learning_rate: float) -> None:
        self.updates += 1
        for name, grad in grads.items():
            first, second = self.moments[name]
            first += 0.1 * (grad - first)
            second += 0.01 * (grad**2 - second)
            scale = np.float32(learning_rate / (1.0 - 0.9**self.updates))
            params[name] -= scale * first / (np.sqrt(second / np.float32(1.0 - 0.99**self.updates)) + np.float32(1e-8))


def global_norm(grads: Mapping[str, Floats]) -> float:
    return float(np.sqrt(sum(float((grad**2).sum()) for grad in grads.values())))


def token_states(prompts: Ints, tokens: Ints) -> tuple[Floats, Ints, Ints]:
    """Flatten completions to their tokens: (features, token chosen, row it came from), the end token included."""
    previous = np.column_stack([np.full(len(tokens), BOS), tokens[:, :-1]])
    rows, position = np.nonzero(previous != EOS)
    return features(prompts[rows], position, previous[rows, position]), tokens[rows, position], rows


def pretrained_policy(hidden_size: int, train_prompts: Ints) -> Policy:
    """The reference policy: fitted to sloppy demonstrations, and the same for every run, like a real checkpoint."""
    rng = np.random.default_rng(7)
    policy = Policy(hidden_size, rng)
    adam = Adam(policy.params)
    for _ in range(400):
        prompts = train_prompts[rng.integers(len(train_prompts), size=128)]
        low, high, count = prompts.T
        shape = (len(prompts), MAX_LENGTH)
        tokens = rng.integers(low[:, None], high[:, None] + 1, size=shape)
        tokens = np.where(rng.random(shape) < 0.35, rng.integers(DIGITS, size=shape), tokens)
        tokens = np.where(rng.random(shape) < 0.0002, BANG, tokens)
        length = np.maximum(1, count + rng.choice([-1, 0, 0, 1], size=len(prompts)))
        tokens[np.arange(MAX_LENGTH) >= length[:, None]] = EOS
        x, chosen, _ = token_states(prompts, tokens)
        hidden, logp = policy.forward(x)
        grad_logits = np.exp(logp)
        grad_logits[np.arange(len(chosen)), chosen] -= 1.0
        grad_logits /= np.float32(len(chosen))
        adam.update(policy.params, policy.backward(x, hidden, grad_logits), 5e-3)
    return policy


# --------------------------------------------------------------------------------------------------------------------
# GRPO
# --------------------------------------------------------------------------------------------------------------------


@dataclass
class _Batch:
    """The tokens of one generation phase, flattened; every array has one row per token."""

    x: Floats
    chosen: Ints
    advantage: Floats
    old_logp: Floats
    ref_logp: Floats

    def take(self, index: Ints) -> _Batch:
        return _Batch(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


class GRPOTrainer:
    """Holds policy, frozen reference and optimiser; `step` does one generation phase and its updates."""

    def __init__(self, config: GRPOConfig) -> None:
        self.config = config
        self.train_prompts, self.eval_prompts = make_prompts()
        self.reference = pretrained_policy(config.hidden_size, self.train_prompts)
        self.policy = self.reference.copy()
        self.adam = Adam(self.policy.params)
        self.rng = np.random.default_rng(config.seed)
        self.weights = np.array(config.reward_weights, dtype=np.float32)
        self.num_tokens = 0

    def learning_rate(self, step: int) -> float:
        """Warm-up, then what `lr_scheduler_type` says; `step` counts from 1 to max_steps."""
        config = self.config
        if step <= config.warmup_steps:
            return config.learning_rate * step / config.warmup_steps
        progress = (step - config.warmup_steps) / (config.max_steps - config.warmup_steps)
        decay = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 * (1.0 + np.cos(np.pi * progress))}
        return float(config.learning_rate * decay[config.lr_scheduler_type])

    def step(self, step: int) -> dict[str, float]:
        """One training step; returns its metrics by their TRL names (without the "train/" prefix)."""
        config = self.config
        picked = self.rng.integers(len(self.train_prompts), size=config.prompts_per_step)
        prompts = self.train_prompts[np.repeat(picked, config.num_generations)]
        tokens = self.policy.generate(prompts, self.rng)
        components = score(prompts, tokens)
        rewards = np.column_stack([components[name] for name in REWARD_NAMES]) @ self.weights

        # "Group relative": a completion is as good as it beats the others written for the same prompt.
        groups = rewards.reshape(-1, config.num_generations)
        spread = groups.std(axis=1, ddof=1, keepdims=True)
        advantages = ((groups - groups.mean(axis=1, keepdims=True)) / (spread + 1e-4)).ravel()

        x, chosen, rows = token_states(prompts, tokens)
        pick = (np.arange(len(chosen)), chosen)
        batch = _Batch(
            x=x,
            chosen=chosen,
            advantage=advantages[rows].astype(np.float32),
            old_logp=self.policy.forward(x)[1][pick],
            ref_logp=self.reference.forward(x)[1][pick],
        )
        learning_rate = self.learning_rate(step)
        updates = [
            self._update(batch.take(part), learning_rate)
            for _ in range(config.num_iterations)
            for part in np.array_split(self.rng.permutation(len(chosen)), config.minibatches)
        ]

        length = (tokens != EOS).sum(axis=1) + (tokens[:, -1] == EOS)  # the end token counts
        self.num_tokens += int(length.sum()) + 3 * len(prompts)
        return {
            **{name: float(np.mean([update[name] for update in updates])) for name in updates[0]},
            "reward": float(rewards.mean()),
            "reward_std": float(spread.mean()),
            "learning_rate": learning_rate,
            "completions/mean_length": float(length.mean()),
            "completions/clipped_ratio": float((tokens[:, -1] != EOS).mean()),
            **{f"rewards/{name}/mean": float(values.mean()) for name, values in components.items()},
        }

    def _update(self, batch: _Batch, learning_rate: float) -> dict[str, float]:
        """One optimiser step on a minibatch of tokens: clipped surrogate + KL penalty - entropy bonus."""
        config = self.config
        count = len(batch.chosen)
        pick = (np.arange(count), batch.chosen)
        hidden, logp_all = self.policy.forward(batch.x)
        probs, logp = np.exp(logp_all), logp_all[pick]
        entropy = -(probs * logp_all).sum(axis=1)

        ratio = np.exp(logp - batch.old_logp)
        clipped = np.clip(ratio, 1.0 - config.epsilon, 1.0 + config.epsilon)
        surrogate = np.minimum(ratio * batch.advantage, clipped * batch.advantage)
        outside = (ratio * batch.advantage > surrogate) & (batch.advantage != 0.0)

        # Schulman's k3: unbiased, never negative, and zero gradient where policy and reference agree.
        log_gap = batch.ref_logp - logp
        kl = np.exp(log_gap) - log_gap - 1.0
        loss = (-surrogate + config.beta * kl - config.entropy_coef * entropy).mean()

        # d loss / d logp of the chosen token, then through the softmax: d logp / d logits = onehot - probs.
        grad_logp = np.where(outside, np.float32(0.0), -batch.advantage * ratio) + config.beta * (1.0 - np.exp(log_gap))
        grad_logits = -grad_logp[:, None] * probs
        grad_logits[pick] += grad_logp
        grad_logits += config.entropy_coef * probs * (logp_all + entropy[:, None])
        grads = self.policy.backward(batch.x, hidden, (grad_logits / count).astype(np.float32))

        norm = global_norm(grads)
        if norm > config.max_grad_norm:
            grads = {name: grad * np.float32(config.max_grad_norm / norm) for name, grad in grads.items()}
        self.adam.update(self.policy.params, grads, learning_rate)
        return {
            "loss": float(loss),
            "grad_norm": norm,
            "kl": float(kl.mean()),
            "entropy": float(entropy.mean()),
            "clip_ratio/region_mean": float(outside.mean()),
        }

    def evaluate(self, samples: int = 16) -> tuple[dict[str, float], Ints, Ints]:
        """(metrics, prompts, completions) on the held-out prompts; the same random numbers at every call."""
        prompts = np.repeat(self.eval_prompts, samples, axis=0)
        tokens = self.policy.generate(prompts, np.random.default_rng(99))
        components = score(prompts, tokens)
        rewards = np.column_stack([components[name] for name in REWARD_NAMES]) @ self.weights
        metrics = {
            "accuracy": float(components["correct"].mean()),
            "in_range": float(components["in_range"].mean()),
            "reward": float(rewards.mean()),
            "mean_length": float((tokens != EOS).sum(axis=1).mean()),
        }
        return metrics, prompts, tokens

    def token_table(self, prompt: tuple[int, int, int], samples: int = 256) -> Floats:
        """How often each token is written at each position for one prompt, shape (VOCAB, count + 2)."""
        prompts = np.tile(np.array(prompt, dtype=np.int64), (samples, 1))
        tokens = self.policy.generate(prompts, np.random.default_rng(5))[:, : prompt[2] + 2]
        hits = tokens[None] == np.arange(VOCAB)[:, None, None]
        return np.asarray(hits.mean(axis=1), dtype=np.float32)


def as_text(tokens: Ints) -> str:
    """A completion as people read it: "3 5 4 $" is 3, 5, 4 and the end token."""
    end = np.flatnonzero(tokens == EOS)
    return " ".join(SYMBOLS[token] for token in (tokens[: end[0] + 1] if len(end) else tokens))
