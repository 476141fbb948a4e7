"""Runs in `wandb/` folders on this machine."""
