"""The report on real trainings with known faults, beside other tools that judge logs.

A set of trainings is a folder with `expected.json` and the runs' directories, as W&B's SDK wrote them:

    {"runs": {"PROJECT/wandb/RUN_DIRECTORY": {
        "project": "xgboost", "name": "...", "id": "run id", "variant": "what was changed",
        "kind": "healthy" or "fault" (all else is passed over),
        "label": "the fault in words", "cause": "what was done",
        "diagnoses": [["overfitting"], ["loss_spike", "loss_divergence"]],   a group is found when any of its ids is
        "also_true": ["undertrained"],                                      no false alarm where it is said
        "primary": ["val/accuracy"], "direction": "max" or null             what the run is to be ranked by
    }}}
"""

import sys

from benchmarks.processes import SCRIPTS

sys.path.insert(0, str(SCRIPTS))
