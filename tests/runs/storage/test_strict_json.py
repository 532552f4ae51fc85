import json

import numpy as np
import pytest

from ddpg_jax.runs.report.page import json_in_html
from ddpg_jax.runs.storage.metrics import Means, append_rows
from ddpg_jax.runs.storage.run_state import Progress, read_progress
from ddpg_jax.runs.storage.strict_json import dumps

NAN, INF = float("nan"), float("inf")


def strict(text):
    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("bad", [NAN, INF, -INF, np.float64("nan")])
def test_a_number_that_is_not_finite_is_null_wherever_it_stands(bad):
    value = {"a": bad, "b": [1.5, bad, [bad, 2]], "c": {"d": (bad, "NaN")}, "e": True, "f": None, "g": 10**400}
    wanted = {"a": None, "b": [1.5, None, [None, 2]], "c": {"d": [None, "NaN"]}, "e": True, "f": None, "g": 10**400}
    assert strict(dumps(value)) == wanted
    assert strict(dumps(value, indent=1, sort_keys=True)) == wanted
    assert strict(json_in_html(value)) == wanted


def test_what_is_finite_is_written_as_before():
    value = {"step": 3, "returns": [0.1, -1e300], "text": "ä<"}
    assert dumps(value, indent=1) == json.dumps(value, indent=1)


def test_rows_of_metrics_are_strict(tmp_path):
    file = tmp_path / "metrics.jsonl"
    append_rows(file, [{"kind": "episode", "return": INF}, {"kind": "evaluation", "returns": [1.0, NAN], "q": [-INF]}])
    assert [strict(line) for line in file.read_text().splitlines()] == [
        {"kind": "episode", "return": None},
        {"kind": "evaluation", "returns": [1.0, None], "q": [None]},
    ]


def test_the_progress_of_a_run_holds_finite_returns_only():
    progress = Progress().after_episodes([3.0, INF, NAN])
    assert (progress.last, progress.best) == (3.0, None)
    assert Progress().after_episodes([INF]) == Progress()
    values = progress._asdict() | {"means": {"totals": {"q": None, "target": 2.0}, "counts": {"q": 3, "target": 1}}}
    assert read_progress(values).means == Means({"target": 2.0}, {"q": 3, "target": 1})
