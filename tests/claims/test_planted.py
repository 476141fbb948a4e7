"""Planted claims: each kind is told from the others, and nobody is accused of what he did not do."""

from __future__ import annotations

from collections import Counter

import pytest

from claims.planted import KINDS, planted, prose, world
from wandb_toolkit.claims.check import Checked, check
from wandb_toolkit.claims.claim import Judged
from wandb_toolkit.claims.document import document_of
from wandb_toolkit.sources.base import Source

EACH = 100


def checked(text: str, source: object, name: str = "a.md") -> Checked:
    found: Source = source  # type: ignore[assignment]
    return check(document_of(name, text.encode()), found)


def test_a_hundred_claims_of_each_kind() -> None:
    said: Counter[tuple[str, str]] = Counter()
    for at, kind in enumerate(KINDS):
        for seed in range(EACH):
            latex = seed % 2 == 1
            project, claim = planted(kind, 10_000 * at + seed, latex=latex)
            marked = [
                one
                for one in checked(claim.text, project.source, "a.tex" if latex else "a.md").claims
                if one.claim.how == "mark"
            ]
            assert len(marked) == 1, claim.text
            said[claim.verdict, marked[0].verdict] += 1
    for verdict in {known for known, _ in said}:
        right = said[verdict, verdict]
        recall = right / sum(count for (known, _), count in said.items() if known == verdict)
        precision = right / sum(count for (_, found), count in said.items() if found == verdict)
        assert recall >= 0.95, (verdict, said)
        assert precision >= 0.95, (verdict, said)


def test_prose_accuses_nobody() -> None:
    accused: list[tuple[str, Judged]] = []
    confirmed = 0
    for seed in range(20):
        for project, sentence in prose(seed):
            found = checked(sentence, project.source).claims
            accused += [(sentence, one) for one in found if one.wrong]
            confirmed += sum(one.verdict == "confirmed" for one in found)
    assert not accused, accused[0]
    assert confirmed >= 100


@pytest.mark.parametrize("seed", range(3))
def test_a_best_given_as_final_is_seen_in_prose_too(seed: int) -> None:
    made = world(seed)
    name = "base-s1"
    sentence = f"{name} ends at {made.best(name, 'eval/accuracy'):.4f} eval/accuracy."
    assert [one.verdict for one in checked(sentence, made.source).claims] == ["best_as_final"]
    one = f"base ends at {made.last(name, 'eval/accuracy'):.4f} eval/accuracy."
    assert [one.verdict for one in checked(one, made.source).claims] == ["one_seed"]
