"""The shared core of wandb-toolkit: read Weights & Biases runs, draw them, judge them."""

__version__ = "0.1.0"
