"""The page of diagnoses is what the registry says, and the skill's reference names no diagnosis that is not there."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

from repository import ROOT
from wandb_toolkit.detectors import DETECTORS


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_diagnoses", ROOT / "docs" / "make_diagnoses.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_fresh(maker: ModuleType) -> None:
    written = (ROOT / "docs" / "diagnoses.md").read_text(encoding="utf-8")
    assert written == maker.page(), "run: .venv/bin/python docs/make_diagnoses.py"


def test_every_diagnosis_says_what_it_needs_and_its_thresholds(maker: ModuleType) -> None:
    page = maker.page()
    for id_, each in DETECTORS.items():
        assert f"### `{id_}`" in page
        assert maker.needs(each) != "nothing"
        for name in maker.thresholds(each):
            assert name.isidentifier()


def test_the_reference_on_signals_names_diagnoses_that_exist() -> None:
    text = (ROOT / "skills" / "wandb" / "references" / "rl-signals.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", text)) - {"entropy_loss"}
    assert named
    assert named <= set(DETECTORS)
