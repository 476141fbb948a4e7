"""A run's points as rows: several metrics joined on W&B's step, nothing filled in and nothing dropped."""
