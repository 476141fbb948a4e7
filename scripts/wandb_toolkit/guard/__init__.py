"""Watch a training from inside: the report's findings while it trains, so that it can stop itself.

    from wandb_toolkit.guard import Guard

    guard = Guard(steps=10_000, config=config)
    for step in range(10_000):
        ...
        guard.log({"train/loss": loss}, step)
        if guard.should_stop:
            break

`wandb_toolkit.guard.transformers` and `wandb_toolkit.guard.lightning` have callbacks for their trainers.
"""

from wandb_toolkit.guard.guard import Guard

__all__ = ["Guard"]
