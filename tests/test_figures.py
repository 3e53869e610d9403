"""The figures in README and docs are those of the results, and the results are those of the shipped weights."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from seedvc_live.engines.nano.engine import NanoSettings
from seedvc_live.engines.nano.networks import WEIGHTS, hash_of

ROOT = Path(__file__).parents[1]


def _load():
    spec = importlib.util.spec_from_file_location("figures", ROOT / "bench" / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figures = _load()


@pytest.mark.parametrize("page", figures.PAGES)
def test_pages_have_the_figures_of_the_results(page: str) -> None:
    text = (ROOT / page).read_text()
    assert re.search(r"<!-- figures: \w+ -->\n\| ", text), f"no figures in {page}"
    assert figures.written(text) == text, "run: python bench/figures.py"


def test_a_wrong_figure_would_be_found() -> None:
    text = (ROOT / "README.md").read_text()
    right = f"{figures.entry(figures.result('nano_evaluation')['summary'], 'streaming')['similarity']:.3f}"
    assert right in text
    assert figures.written(text.replace(right, "0.999")) == text


def test_results_are_of_the_shipped_weights_and_settings() -> None:
    shipped = hash_of(WEIGHTS)
    about = figures.result("nano_evaluation")["about"]
    assert about["weights"] == shipped
    assert about["settings"] == NanoSettings().model_dump()
    assert about["pairs"] == 24
    for name, profile in figures.result("nano_profiles")["profiles"].items():
        if "quality" in profile:
            assert profile["quality"]["weights"] == shipped, name
