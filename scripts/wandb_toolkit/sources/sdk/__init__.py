"""A W&B server through the wandb package's public API: slower, and right wherever the SDK is."""
