import argparse
import json

import numpy as np
import pytest

from benchmarks import bars, measure, report
from benchmarks.learning_parity import bootstrap, interquartile_mean


def test_contenders_take_turns_and_their_ratios_hold_within_a_round():
    turns = []
    contenders = {name: measure.Contender(lambda name=name: turns.append(name), 10) for name in ("a", "b")}
    rates = measure.take_turns(contenders, rounds=3, seconds=0)
    assert turns[-6:] == ["a", "b"] * 3
    assert {name: values.shape for name, values in rates.items()} == {"a": (3,), "b": (3,)}
    # A machine that halves its speed after the first round changes no ratio.
    drifting = {"a": np.array([200.0, 100.0, 100.0]), "b": np.array([100.0, 50.0, 50.0])}
    summary = measure.summarize(drifting, {"a / b": ("a", "b"), "a / absent": ("a", "c")})
    assert summary["ratios"] == {"a / b": [2.0, 2.0, 2.0]}
    assert summary["per_second"]["b"] == [50.0, 50.0, 75.0]


@pytest.mark.parametrize(("figure", "met"), [([1.6, 1.7, 1.8], True), ([1.6, 1.69, 1.8], False), (None, False)])
def test_a_bar_is_held_against_the_median(figure, met):
    bar = bars.Bar("training", {"batch_size": 64}, ("ratios", "x"), least=1.7)
    results = [{"batch_size": 256, "ratios": {"x": [9, 9, 9]}}, {"batch_size": 64, "ratios": {"x": figure}}]
    (finding,) = bars.hold(bar, {"training": {"results": results}})
    assert (finding.figure, finding.met) == (figure, met)


def test_a_report_is_made_of_the_figures_alone(tmp_path):
    out = tmp_path / "here.json"
    part = tmp_path / "update.json"
    point = {"batch": 256, "hidden": 256, "ratios": {"ours, scan / PyTorch eager": [2.0, 2.3, 2.5]}}
    measure.write(argparse.Namespace(out=part), "update", [point])
    out.write_text(json.dumps({"sections": {"update": json.loads(part.read_text()), "start": {"failed": "no disk"}}}))
    text = report.build(out).read_text()
    assert "| 2.300 (2.000 to 2.500) | met |" in text
    assert "**Failed**: `no disk`" in text
    assert "not measured" in text


def test_interquartile_mean_and_its_resamples():
    values = np.array([[100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]])
    assert interquartile_mean(values).tolist() == [3.5]
    resamples = bootstrap(values)
    assert resamples.shape[0] == 1
    assert resamples.min() >= -100
    assert np.median(resamples) == pytest.approx(3.5, abs=1)


def test_what_is_not_installed_is_said(capsys):
    assert not measure.have("no_such_peer", "peers")
    assert "no_such_peer is not installed (pip install '.[peers]')" in capsys.readouterr().err
