import json
import math

import numpy as np
import pytest
from made_runs import episode, evaluation, probe, update, whole_run, write_run

from ddpg_jax.runs.report import series, traces
from ddpg_jax.runs.report.figures import TOPICS, figures
from ddpg_jax.runs.report.record import Record, read_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return read_record(write_run(tmp_path_factory.mktemp("runs") / "run", whole_run()))


def of(record: Record, rows):
    """The same run with other rows."""
    return record._replace(rows={kind: [row for row in rows if row["kind"] == kind] for kind in record.rows})


def trace(figure, name):
    (found,) = [trace for trace in figure["data"] if trace["name"] == name and trace.get("showlegend", True)]
    return found


def test_a_whole_run_has_every_figure_and_plotly_takes_each(record):
    graph_objects = pytest.importorskip("plotly.graph_objects")
    found = figures(record)
    assert list(found) == list(TOPICS)
    for figure in found.values():
        graph_objects.Figure(figure)  # it refuses names and values that are unknown to it
        json.dumps(figure, allow_nan=False)
        assert isinstance(figure["layout"]["meta"]["note"], str)


def test_the_learning_curve_shows_the_rows(record):
    figure = figures(record)["learning"]
    episodes, evaluations = record.rows["episode"], record.rows["evaluation"]
    assert trace(figure, "episodes, with noise")["y"] == pytest.approx([row["return"] for row in episodes], rel=1e-4)
    assert trace(figure, "mean of 10 episodes")["x"] == [row["step"] for row in episodes[9:]]
    mean = trace(figure, "evaluations: mean, least to greatest")
    assert mean["y"] == pytest.approx([np.mean(row["returns"]) for row in evaluations], rel=1e-4)
    low, high = zip(*mean["customdata"], strict=True)
    assert low == pytest.approx([min(row["returns"]) for row in evaluations], rel=1e-4)
    assert high == pytest.approx([max(row["returns"]) for row in evaluations], rel=1e-4)


def test_cut_episodes_and_skipped_updates_are_marked(record):
    figure = figures(record)["learning"]
    cut, skipped = trace(figure, "episodes cut"), trace(figure, "updates skipped")
    assert cut["x"] == [4200]
    assert "&lt;b&gt;no&lt;/b&gt;" in cut["text"][0], "Plotly would read it as HTML"
    assert skipped["x"] == [4000, 8000]
    assert [text.split()[0] for text in skipped["text"]] == ["1", "1"]


def test_very_many_marks_are_put_together_and_none_is_lost(record):
    rows = [update(step, skipped=2 * step) for step in range(1, 1001)]
    rows += [{"kind": "restart", "step": step, "reason": "timeout"} for step in range(1000)]
    data = figures(of(record, [*rows, episode(200, -1.0)]))["learning"]["data"]
    found = {trace["name"]: trace for trace in data}
    assert sum(int(text.split()[0]) for text in found["updates skipped"]["text"]) == 2000
    more = [int(text.split("(and ")[1].split()[0]) for text in found["episodes cut"]["text"]]
    assert sum(more) + len(more) == 1000
    assert len(more) <= 100


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], set()),
        ([episode(200, -1.0)], {"learning"}),
        ([{"kind": "evaluation", "step": 1000, "returns": [-1.0, -2.0], "lengths": [200, 200]}], {"learning"}),
        ([evaluation(1000, [-1.0])], {"learning", "q_return"}),
        ([probe(500, [[0.5]], [1.0])], {"policy", "q_map", "saturation"}),
        ([{"kind": "update", "step": 500, "q": 1.0}], {"q_target"}),
        ([{"kind": "update"}, {"kind": "update", "step": "?", "q": []}, {"kind": "episode", "step": 5}], set()),
        ([{"kind": "probe", "step": 1, "action": [[1], [1, 2]], "q": None}, {"kind": "restart"}], set()),
    ],
)
def test_what_is_missing_costs_only_the_figures_that_need_it(record, rows, expected):
    assert set(figures(of(record, rows))) == expected


def test_the_axis_of_positive_figures_is_logarithmic_and_shows_zero_otherwise(record):
    norms = lambda *values: figures(  # noqa: E731
        of(record, [update(step, actor_grad_norm=value) for step, value in enumerate(values, 1)])
    )["grad_norms"]["layout"]["yaxis"]["type"]
    assert norms(0.1, 2.0) == "log"
    assert norms(0.1, 0.0) == "linear"


def test_a_long_run_is_condensed_keeps_its_extremes_and_says_so(record):
    rng = np.random.default_rng(0)
    losses = np.exp(rng.normal(size=20_000))
    losses[[777, 13_131]] = 1e-6, 1e6
    rows = [update(step, critic_loss=loss) for step, loss in enumerate(losses.tolist(), 1)]
    figure = figures(of(record, rows))["losses"]
    critic = trace(figure, "critic loss")
    assert len(critic["x"]) == series.STRETCHES
    assert critic["x"][-1] == 20_000
    low, high = zip(*critic["customdata"], strict=True)
    assert (min(low), max(high)) == (1e-6, 1e6)
    assert "20,000 rows" in figure["layout"]["meta"]["note"]
    (band,) = [each for each in figure["data"] if each.get("fill") and each["legendgroup"] == "critic loss"]
    assert (min(band["y"]), max(band["y"])) == (1e-6, 1e6)
    assert figures(record)["losses"]["layout"]["meta"]["note"] == ""


@pytest.mark.parametrize(("count", "mode"), [(50, "markers"), (5000, "lines")])
def test_few_episodes_are_points_and_many_a_line(record, count, mode):
    episodes = [episode(step, -1.0) for step in range(count)]
    assert trace(figures(of(record, episodes))["learning"], "episodes, with noise")["mode"] == mode


def test_steps_per_second_are_those_between_the_rows(record):
    moments = [(500, 10.0), (1000, 12.0), (1500, 12.0), (2000, 17.0)]
    rows = [update(step, seconds=seconds) for step, seconds in moments]
    rate = trace(figures(of(record, rows))["speed"], "steps/s")
    assert rate["x"] == [10, 12, 17]
    assert rate["y"] == [250, 250, 100]
    many = [update(step, seconds=step / 100) for step in range(1, 5001)]
    figure = figures(of(record, many))["speed"]
    assert trace(figure, "steps/s")["y"] == pytest.approx([100] * 301)
    assert "5,000 rows" in figure["layout"]["meta"]["note"]
    assert "speed" not in figures(of(record, many[:1]))


def test_probe_states_are_sorted_by_their_last_q(record):
    rows = [probe(500, [[0.1], [0.2], [0.3]], [3.0, 1.0, 2.0]), probe(1000, [[-0.1], [-0.2], [-0.3]], [5.0, 9.0, 7.0])]
    states = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    found = figures(of(record, rows)._replace(probe_states=states))
    (policy,), (q_map,) = found["policy"]["data"], found["q_map"]["data"]
    assert policy["y"] == q_map["y"] == ["probe state 0: (0, 1)", "probe state 2: (4, 5)", "probe state 1: (2, 3)"]
    assert policy["z"] == [[0.1, -0.1], [0.3, -0.3], [0.2, -0.2]]
    assert q_map["z"] == [[3, 5], [2, 7], [1, 9]]
    axis = found["policy"]["layout"]["coloraxis"]
    assert (axis["cmin"], axis["cmid"], axis["cmax"]) == (-1, 0, 1)
    assert found["policy"]["layout"]["meta"]["scale"] == "diverging"
    assert "sorted by their last Q" in found["policy"]["layout"]["meta"]["note"]


def test_of_several_action_dimensions_the_norm_is_shown(record):
    found = figures(of(record, [probe(500, [[0.6, 0.8], [0.0, 0.0]], [1.0, 2.0])]))["policy"]
    assert found["data"][0]["z"] == [[1.0], [0.0]]
    assert found["layout"]["coloraxis"]["cmax"] == pytest.approx(math.sqrt(2))
    assert found["layout"]["meta"]["scale"] == "sequential"


def test_many_probes_keep_the_strongest_action_of_each_stretch(record):
    rows = [probe(step, [[0.1], [1.0 if step == 4321 else -0.2]], [0.0, 1.0]) for step in range(1, 10_001)]
    found = figures(of(record, rows))["policy"]
    assert len(found["data"][0]["x"]) <= 250
    assert found["data"][0]["x"][-1] == 10_000
    assert max(found["data"][0]["z"][1]) == 1
    assert "10,000 looks" in found["layout"]["meta"]["note"]


def test_every_digit_of_a_step_is_kept(record):
    found = figures(of(record, [update(2_147_483_647), probe(2_147_483_647, [[0.5]], [1.0])]))
    assert found["q_target"]["data"][0]["x"] == found["policy"]["data"][0]["x"] == [2_147_483_647]


def test_one_evaluation_has_its_spread_as_whiskers(record):
    figure = figures(of(record, [evaluation(1000, [-3.0, -1.0])]))["learning"]
    (only,) = figure["data"]
    assert only["error_y"]["array"] == only["error_y"]["arrayminus"] == [1.0]


def test_colours_of_data_stand_out_on_light_and_dark_paper():
    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for colour in traces.PALETTE:
        for paper in ("#ffffff", "#171b21"):
            dark, light = sorted([luminance(colour), luminance(paper)])
            assert (light + 0.05) / (dark + 0.05) >= 3, (colour, paper)
