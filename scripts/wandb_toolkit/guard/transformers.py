"""A callback for the Trainer of Hugging Face Transformers, and for the trainers of TRL that are made of it."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from wandb_toolkit.guard.guard import Guard


class GuardCallback(TrainerCallback):  # type: ignore[misc] # without types where Transformers is not installed
    """Gives a guard what the Trainer logs, under the names that it has in W&B, and ends the training."""

    def __init__(self, guard: Guard | None = None, *, stop: bool = True) -> None:
        """Watch with `guard`, by default one that knows the Trainer's arguments; `stop` False only watches."""
        self.guard, self.stop = guard, stop

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Make the guard, where none was given."""
        del control
        if self.guard is None:
            self.guard = Guard(steps=state.max_steps or None, config=args.to_sanitized_dict())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Take a row."""
        if self.guard is None or not logs:
            return
        if state.is_world_process_zero:
            self.guard.log({_wandb_name(name): value for name, value in logs.items()}, state.global_step)
        if self.stop and _anywhere(self.guard.should_stop and state.is_world_process_zero, args):
            control.should_training_stop = True


def _anywhere(stop: bool, args: Any) -> bool:
    """Return whether any process of a training wants to stop: one that ended alone would leave the others waiting."""
    if getattr(args, "world_size", 1) == 1:
        return stop
    import torch

    told = torch.tensor(int(stop), device=args.device)
    torch.distributed.all_reduce(told, op=torch.distributed.ReduceOp.MAX)
    return bool(told.item())


def _wandb_name(name: str) -> str:
    """Return what the Trainer's W&B callback calls a metric."""
    for kind in ("eval", "test"):
        if name.startswith(f"{kind}_"):
            return f"{kind}/{name.removeprefix(f'{kind}_')}"
    return f"train/{name}"
