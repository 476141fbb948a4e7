#!/usr/bin/env python3
"""Check the numbers that a text claims."""


def main(argv: "list[str] | None" = None) -> int:
    """Run the command with `argv` (default: the process's) and return its exit code."""
    from wandb_toolkit.commands import check_claims

    return check_claims.main(argv)


if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
    import _bootstrap

    raise SystemExit(_bootstrap.run(__file__))
