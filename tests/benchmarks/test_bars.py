"""Bars are held against figures that the scripts write."""

import numpy as np
import pytest

from benchmarks import start
from benchmarks.bars import BARS, find, hold

SECONDS = {
    start.IMPORTS: 0.5, "one update, cold": 2.0, "one update, cached": 1.0, "Gymnasium, cold": 4.0,
    "Gymnasium, cached": 1.5, "gymnax, cold": 6.0, "gymnax, cached": 3.0, "SB3": 2.5,
}  # fmt: skip


@pytest.fixture
def summary():
    return start.summarize({name: np.full(3, seconds) for name, seconds in SECONDS.items()})


def test_a_start_is_measured_by_one_update_with_the_same_cache(summary):
    assert {name: ratio[1] for name, ratio in summary["ratios"].items()} == {
        "Gymnasium, cold / one update": 2.0, "Gymnasium, cached / one update": 1.5,
        "gymnax, cold / one update": 3.0, "gymnax, cached / one update": 3.0, "SB3 / one update": 1.25,
    }  # fmt: skip


def test_the_bars_of_a_start_are_met_and_missed(summary):
    bars = [bar for bar in BARS if bar.section == "start"]
    assert [(bar.path[-1], bar.most) for bar in bars] == [
        ("Gymnasium, cold / one update", 2.4),
        ("Gymnasium, cached / one update", 1.9),
    ]
    assert all(find(summary, bar.path) for bar in bars)
    slow = {**summary, "ratios": {name: [3.0, 3.0, 3.0] for name in summary["ratios"]}}
    met = [[each.met for bar in bars for each in hold(bar, {"start": {"results": found}})] for found in (summary, slow)]
    assert met == [[True, True], [False, False]]


def test_what_was_not_measured_is_not_met():
    assert not any(finding.met for bar in BARS for finding in hold(bar, {}))


def test_the_memory_is_held_to_a_training_step_and_its_own_prediction():
    figures = {bar.path[-1] for bar in BARS if bar.section == "replay"}
    assert figures == {"with an update: time at 1e6 / 1e4", "resident / predicted"}
