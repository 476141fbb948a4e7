"""Which entries of their records tell bad runs from good ones: culprits that were planted, and none that were not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from wandb_toolkit.changes.separate import UNLIKELY, separators

KEYS = [f"key{n:02}" for n in range(40)]


def project(
    seed: int, culprits: int, how: str, runs: int = 32
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], set[str]]:
    """Return good and bad records whose 40 entries all vary, and which of them make a run bad."""
    rng = random.Random(seed)
    kinds = {key: rng.choice([2, 3, 4, 0]) for key in KEYS}  # 0: a number of its own in each run
    planted = rng.sample(KEYS, culprits)
    for key in planted:
        kinds[key] = rng.choice([2, 3])
    while True:
        records = [
            {key: rng.random() if kinds[key] == 0 else rng.randrange(kinds[key]) for key in KEYS} for _ in range(runs)
        ]
        meets = any if how == "either" else all
        bad = [record for record in records if meets(record[key] == 0 for key in planted)]
        good = [record for record in records if record not in bad]
        if len(bad) >= 4 and len(good) >= 6:
            return good, bad, set(planted)


@pytest.mark.parametrize(("culprits", "how"), [(1, "all"), (2, "both"), (2, "either")])
def test_planted_culprits_come_first(culprits: int, how: str) -> None:
    first = 0
    for seed in range(67):
        good, bad, planted = project(seed, culprits, how)
        found = separators(good, bad, KEYS)
        first += bool(found) and set(found[0].keys) == planted
    assert first >= 0.95 * 67


def test_entries_that_always_vary_together_cannot_be_told_apart() -> None:
    for seed in range(20):
        good, bad, [culprit] = project(seed, 1, "all")
        for record in (*good, *bad):
            record["twin"] = f"as {record[culprit]}"
        found = separators(good, bad, [*KEYS, "twin"])
        assert {found[0].keys, found[1].keys} == {(culprit,), ("twin",)}
        assert found[1].chance <= UNLIKELY


def test_no_entry_is_blamed_where_the_runs_are_bad_for_no_reason() -> None:
    blamed = 0
    for seed in range(100):
        good, bad, _ = project(seed, 1, "all")
        rng = random.Random(seed)
        records = rng.sample([*good, *bad], len(good) + len(bad))
        found = separators(records[: len(good)], records[len(good) :], KEYS)
        blamed += any(one.chance <= UNLIKELY for one in found)
    assert blamed <= 7


def test_a_number_of_its_own_in_each_run_separates_by_its_size_or_not_at_all() -> None:
    good = [{"rate": 0.001 * n, "host": f"node{n}"} for n in range(1, 9)]
    bad = [{"rate": 0.1 * n, "host": f"bad{n}"} for n in range(1, 6)]
    [found] = separators(good, bad, ["rate", "host"])
    assert (found.keys, found.bad) == (("rate",), ("0.1 or more",))


def test_one_good_and_one_bad_run_prove_nothing() -> None:
    found = separators([{"a": 1, "b": 2, "same": 3}], [{"a": 2, "b": 1, "same": 3}], ["a", "b", "same"])
    assert {one.keys for one in found} == {("a",), ("b",)}
    assert all(one.chance == 1.0 for one in found)
    assert separators([], [{"a": 1}], ["a"]) == []
