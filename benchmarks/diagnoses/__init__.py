"""Labelled runs of many families, and how well diagnoses find what is wrong with them.

python -m benchmarks.diagnoses --help
"""

import sys
from pathlib import Path

# The core lies in the tree, installed or not.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
