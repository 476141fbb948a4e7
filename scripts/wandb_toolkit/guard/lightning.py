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

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Make the guard, where none was given."""
        if self.guard is None:
            steps = trainer.estimated_stepping_batches
            planned = int(steps) if steps not in (-1, float("inf")) else None
            self.guard = Guard(steps=planned, config=dict(getattr(pl_module, "hparams", {})))

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Take a row, where loggers get one."""
        if trainer.global_step % max(1, trainer.log_every_n_steps) == 0:
            self._take(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Take what was validated."""
        del pl_module
        if not trainer.sanity_checking:
            self._take(trainer)

    def _take(self, trainer: Any) -> None:
        if self.guard is None or not trainer.is_global_zero:
            return
        self.guard.log({str(name): value for name, value in trainer.callback_metrics.items()}, trainer.global_step)
        # Of several processes this one alone would end, and the others would wait for it for ever.
        if self.stop and self.guard.should_stop and getattr(trainer, "world_size", 1) == 1:
            trainer.should_stop = True
