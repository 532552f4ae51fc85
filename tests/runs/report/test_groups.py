import dataclasses

import numpy as np
import pytest
from made_runs import evaluation, write_run

from ddpg_jax.config import CheckpointConfig
from ddpg_jax.runs.report.comparison import (
    chosen_steps,
    compare,
    improvement_figure,
    improvements,
    iqm_figure,
    is_significant,
)
from ddpg_jax.runs.report.groups import group_runs
from ddpg_jax.runs.report.record import read_record
from ddpg_jax.runs.report.settings import shown
from ddpg_jax.runs.report.statistics import interquartile_mean


def make(folder, name, level, seeds=range(3), steps=(1000, 2000, 3000), **settings):
    found = []
    for seed in seeds:
        rows = [evaluation(step, [level + seed + step / 1000, level + seed]) for step in steps]
        found.append(read_record(write_run(folder / f"{name}-{seed}", rows, seed=seed, **settings)))
    return found


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return make(folder, "slow", -900.0, tau=0.001) + make(folder, "fast", -100.0, tau=0.01)


def test_runs_are_grouped_by_setting_and_named_by_what_differs(records):
    groups = group_runs(records[::-1])
    assert [group.name for group in groups] == ["tau = 0.01", "tau = 0.001"]
    assert [[record.run.config.seed for record in group.records] for group in groups] == [[0, 1, 2]] * 2
    np.testing.assert_array_equal(groups[0].steps, [1000, 2000, 3000])
    np.testing.assert_allclose(groups[0].scores[:, -1], [-98.5, -97.5, -96.5])


def test_what_is_kept_of_a_run_makes_no_other_setting(records):
    record = records[0]
    config = dataclasses.replace(record.run.config, seed=9, checkpoint=CheckpointConfig(minutes=1.0))
    (group,) = group_runs([record, record._replace(run=record.run._replace(config=config))])
    assert [record.run.config.seed for record in group.records] == [0, 9]


def test_one_setting_alone_is_named_by_its_environment(records):
    (group,) = group_runs(records[:3])
    assert group.name == "Pendulum-v1"
    assert improvements([group]) == []


def test_the_same_setting_and_seed_again_counts_once_with_the_longest(tmp_path, records):
    again = make(tmp_path, "again", -5.0, seeds=[1], steps=(1000,), tau=0.01)
    (group,) = group_runs([*records[3:], *again])
    assert [record.run.path for record in group.records] == [record.run.path for record in records[3:]]


def test_only_evaluations_that_all_seeds_have_are_compared(tmp_path, records):
    late = make(tmp_path, "late", -100.0, seeds=[7], steps=(1000, 2000), tau=0.01)
    (group,) = group_runs(records[3:] + late)
    np.testing.assert_array_equal(group.steps, [1000, 2000])
    assert group.scores.shape == (4, 2)
    (empty,) = group_runs(records[3:] + make(tmp_path, "new", 0.0, seeds=[8], steps=(), tau=0.01))
    assert not len(empty.steps)
    assert iqm_figure([empty]) is None


def test_the_figure_has_the_interquartile_mean_and_its_interval(records):
    groups = group_runs(records)
    figure = iqm_figure(groups)
    for group in groups:
        expected = interquartile_mean([group.scores])
        (mean,) = [each for each in figure["data"] if each["name"] == group.name and "customdata" in each]
        assert mean["y"] == pytest.approx(list(expected.value), rel=1e-4)
        low, high = zip(*mean["customdata"], strict=True)
        assert low == pytest.approx(list(expected.low), rel=1e-4)
        assert high == pytest.approx(list(expected.high), rel=1e-4)


def test_one_seed_is_drawn_without_an_interval_which_is_said(records):
    figure = iqm_figure(group_runs(records[:1]))
    (only,) = figure["data"]
    assert "customdata" not in only
    assert "One seed has no interval" in figure["layout"]["meta"]["note"]


def test_the_better_setting_comes_first(records):
    (pair,) = improvements(group_runs(records))
    assert (pair.better, pair.worse) == ("tau = 0.01", "tau = 0.001")
    assert (pair.probability.value, pair.probability.low, pair.probability.high) == (1, 1, 1)
    assert improvement_figure([pair])["data"][0]["x"] == [1.0]


@pytest.mark.parametrize(
    ("of_a", "of_b", "luck", "answer"),
    [
        (range(10, 13), range(3), 2 / 20, "no, too few seeds"),
        (range(10, 14), range(4), 2 / 70, "yes"),
        (range(4), range(4), 2 / 70, "no"),
        (range(10, 11), range(1), 1.0, "no, too few seeds"),
    ],
)
def test_few_seeds_tell_nothing_apart_though_all_of_one_win(of_a, of_b, luck, answer):
    pair = compare("a", "b", {"env": np.array(of_a, float)}, {"env": np.array(of_b, float)})
    assert pair.luck == pytest.approx(luck)
    assert is_significant(pair) == answer


def test_environments_are_compared_within_and_averaged_over(tmp_path, records):
    env = "MountainCarContinuous-v0"
    other = make(tmp_path, "a", 5.0, env=env, tau=0.001) + make(tmp_path, "b", 3.0, env=env, tau=0.01)
    groups = group_runs(records + other)
    assert [group.name for group in groups][2] == f"{env}, tau = 0.001"
    (pair,) = improvements(groups)
    wins = np.mean([1.0, 0.5 / 9])  # the last seed of b ties with the first of a, and loses else
    assert pair.envs == 2
    assert pair.probability.value == pytest.approx(wins)
    assert pair.better == "tau = 0.01"
    (alone, *_) = [improvements(group_runs(records[:3] + other[3:]))]
    assert alone == [], "no environment is shared"


def test_of_many_settings_each_is_compared_with_the_best_alone(tmp_path):
    records = [
        run
        for each in range(9)
        for run in make(tmp_path, each, -100.0 * (each != 5) - each, [0], tau=0.001 * (1 + each))
    ]
    pairs = improvements(group_runs(records))
    assert [pair.better for pair in pairs] == ["tau = 0.006"] * 8
    assert len(improvements(group_runs(records[:8]))) == 8 * 7 / 2


def test_rows_of_the_figure_have_room_for_their_text(tmp_path):
    long = {"hidden_sizes": (256,) * 12, "tau": 0.1}
    records = (
        make(tmp_path, "a", 1.0, [0]) + make(tmp_path, "b", 2.0, [0], **long) + make(tmp_path, "c", 3.0, [0], tau=1.0)
    )
    figure = improvement_figure(improvements(group_runs(records)))
    (rows, labels) = figure["data"][0]["y"], figure["layout"]["annotations"]
    for before, row, label in zip([0, *rows], rows, labels, strict=False):
        lines = label["text"].split("<br>")
        assert max(map(len, lines)) <= 36
        assert row - before >= 18 * len(lines) + 9 + 6, "the mark before is not printed over"


def test_of_many_evaluations_the_last_is_among_those_shown():
    assert chosen_steps(3, 200).tolist() == [0, 1, 2]
    assert len(chosen_steps(1001, 200)) == 200
    assert chosen_steps(1001, 200)[-1] == 1000


def test_values_are_written_as_a_person_would():
    assert [shown(value) for value in ((256, 256), ("a", "b"), (), 0.005, None)] == [
        "256 x 256", "a, b", "none", "0.005", "None",
    ]  # fmt: skip
