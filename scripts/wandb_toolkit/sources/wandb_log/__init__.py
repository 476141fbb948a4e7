"""The `.wandb` file format: blocks, records, values."""
