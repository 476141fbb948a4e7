"""A callback for the Trainer of Lightning (`lightning` or `pytorch_lightning`)."""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

from wandb_toolkit.guard.guard import Guard


class GuardCallback(Callback):  # type: ignore[misc] # without types where Lightning is not installed
    """Gives a guard what modules log, at the steps at which loggers get it, and ends the training."""

    def __init__(self, guard: Guard | None = None, *, stop: bool = True) -> None:
        """Watch with `guard`, by default one that knows the Trainer's plan; `stop` False only watches."""
        super().__init__()
        self.guard, self.stop = guard, stop
        self._before: dict[str, float] = {}
        self._validated: set[str] = set()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Make the guard, where none was given."""
        if self.guard is None:
            steps = trainer.estimated_stepping_batches
            planned = int(steps) if steps not in (-1, float("inf")) else None
            self.guard = Guard(steps=planned, config=dict(getattr(pl_module, "hparams", {})))

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Take a row, where loggers get one."""
        if trainer.global_step % max(1, trainer.log_every_n_steps) == 0:
            known = _numbers(trainer)
            # What was validated stays among the metrics: it is taken where it was measured.
            self._take(trainer, {name: value for name, value in known.items() if name not in self._validated})

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Note what is known before the validation."""
        del pl_module
        self._before = _numbers(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Take what was validated."""
        del pl_module
        if trainer.sanity_checking:
            return
        known = _numbers(trainer)
        self._validated |= {name for name, value in known.items() if self._before.get(name) != value}
        self._take(trainer, {name: value for name, value in known.items() if name in self._validated})

    def _take(self, trainer: Any, row: dict[str, Any]) -> None:
        if self.guard is None:
            return
        if trainer.is_global_zero:
            self.guard.log(row, trainer.global_step)
        # One process that ended alone would leave the others waiting: all of them hear of it.
        stop = bool(self.stop and trainer.is_global_zero and self.guard.should_stop)
        if trainer.strategy.reduce_boolean_decision(stop, all=False):
            trainer.should_stop = True


def _numbers(trainer: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in trainer.callback_metrics.items()}
