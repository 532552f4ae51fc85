"""What the page of several runs draws and says beside the interquartile means."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made_runs import evaluation, probe, update, whole_run, write_run

from ddpg_jax.runs.report.comparison import improvements
from ddpg_jax.runs.report.comparison_curves import losses, q_return
from ddpg_jax.runs.report.comparison_figures import by_environment
from ddpg_jax.runs.report.comparison_headline import headline
from ddpg_jax.runs.report.comparison_heatmaps import policies, q_maps
from ddpg_jax.runs.report.comparison_page import comparison_page
from ddpg_jax.runs.report.comparison_tables import difference_table
from ddpg_jax.runs.report.groups import group_runs
from ddpg_jax.runs.report.record import read_record


def rows_of(level, seed):
    """Evaluations at `level + seed`, of which the critic promised 10 more than a half."""
    rows = []
    for step in (1000, 2000):
        action, q = np.full((4, 1), level / 1000), [level + seed + state for state in range(4)]
        shown = evaluation(step, [level + seed]) | {"q": [10 + (level + seed) / 2]}
        losses = {"critic_loss": 1.0 + seed, "actor_loss": -level - seed}
        rows += [update(step, **losses), probe(step, action.tolist(), q), shown]
    return rows


def make_groups(folder, levels, seeds=range(3), **more):
    records = []
    for number, level in enumerate(levels):
        for seed in seeds:
            settings = {"tau": 0.01 * (1 + number), "seed": seed, **more}
            records.append(read_record(write_run(folder / f"{level}-{seed}", rows_of(level, seed), **settings)))
    return group_runs(records)


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    return make_groups(tmp_path_factory.mktemp("runs"), (-500.0, -200.0))


def lines(figure, axis="y"):
    """Curves without their bands: name, y, least and greatest."""
    drawn = [trace for trace in figure["data"] if "hovertemplate" in trace and trace.get("yaxis", "y") == axis]
    return [(trace["name"], trace["y"][-1], *trace["customdata"][-1]) for trace in drawn]


def test_q_stands_beside_the_return_that_followed_as_means_over_the_seeds(groups):
    first, second = [(-249.5, -250.0, -249.0), (-99.5, -100.0, -99.0)]
    assert lines(q_return(groups, 200)) == [
        ("tau = 0.01", *first),
        ("tau = 0.01", *(value + 10 for value in first)),
        ("tau = 0.02", *second),
        ("tau = 0.02", *(value + 10 for value in second)),
    ]


def test_losses_of_both_networks_are_means_over_the_seeds(groups):
    figure = losses(groups, 200)
    assert lines(figure) == [("tau = 0.01", 2.0, 1.0, 3.0), ("tau = 0.02", 2.0, 1.0, 3.0)]
    assert lines(figure, "y2") == [("tau = 0.01", 499.0, 498.0, 500.0), ("tau = 0.02", 199.0, 198.0, 200.0)]


def test_each_setting_has_a_map_of_the_seed_in_the_middle(groups):
    for draw, expected in ((policies, -0.5), (q_maps, -499.0)):
        figure = draw(groups, 100)
        first, second = figure["data"]
        assert first["z"][0][-1] == expected
        assert (first["yaxis"], second["yaxis"]) == ("y", "y2")
        titles = [each["text"] for each in figure["layout"]["annotations"]]
        assert titles == ["tau = 0.01, seed 1", "tau = 0.02, seed 1"]


def test_titles_of_maps_lie_between_the_maps(tmp_path):
    groups = make_groups(tmp_path, (1.0, 2.0, 3.0), [0], hidden_sizes=(64,) * 30)
    shape = policies(groups, 100)["layout"]
    domains = [shape[axis]["domain"] for axis in ("yaxis", "yaxis2", "yaxis3")]
    ends = [1.0, *(low for low, _ in domains)]
    pixels = shape["height"] - shape["margin"]["b"]
    for above, (low, high), title in zip(ends, domains, shape["annotations"], strict=False):
        assert title["y"] == high > low
        assert (above - high) * pixels >= 18 * (1 + title["text"].count("<br>"))


def test_the_headline_of_one_setting_has_its_figure(tmp_path):
    groups = make_groups(tmp_path, (-150.0,))
    assert headline(groups, []) == (
        "Pendulum-v1: return -149.0 after 2,000 steps (interquartile mean of 3 seeds, 95 % interval -150.0 to -148.0)."
    )
    assert headline(make_groups(tmp_path / "b", (-150.0,), [4]), []) == (
        "Pendulum-v1: return -146.0 after 2,000 steps (mean of its evaluation of one seed)."
    )


def test_the_headline_of_two_settings_has_both_figures(groups):
    said = headline(groups, improvements(groups))
    assert "whether tau = 0.02 (return -199.0) is better than tau = 0.01 (return -499.0) (probability 1.00" in said


def test_the_headline_of_more_settings_names_the_best(tmp_path):
    groups = make_groups(tmp_path, (-500.0, -200.0, -300.0), range(4))
    assert headline(groups, improvements(groups)) == (
        "The highest return is -198.5, of tau = 0.02. 3 of 3 pairs of settings can be told apart with these seeds."
    )


def test_what_differs_is_in_a_table_whatever_the_groups_are_called(tmp_path):
    changes = {"tau": 0.1, "policy_delay": 2, "num_critics": 2}
    first = read_record(write_run(tmp_path / "plain-0", rows_of(-1.0, 0), seed=0))
    second = read_record(write_run(tmp_path / "other-0", rows_of(-1.0, 1), seed=1, **changes))
    groups = group_runs([first, second])
    assert [group.setting for group in groups] == ["plain", "other"]
    cells = re.findall(r"<t[hd] [^>]*>([^<]*)<", difference_table(groups))
    assert cells == [
        "setting", "plain", "other", "agent.tau", "0.005", "0.1", "agent.num_critics", "1", "2",
        "agent.policy_delay", "1", "2",
    ]  # fmt: skip
    assert difference_table(groups[:1]) == ""


def test_the_page_of_many_settings_is_small(tmp_path):
    pytest.importorskip("plotly")
    record = read_record(write_run(tmp_path / "run", whole_run()))
    rows = {
        "evaluation": [evaluation(step, [float(step) / 7, -1.0 / 3]) for step in range(100, 26_000, 100)],
        "update": [update(step, q=step / 7, critic_loss=step / 3) for step in range(100, 26_000, 100)],
        "probe": [
            probe(step, np.sin(np.arange(32) * step)[:, None].tolist(), np.cos(np.arange(32) * step).tolist())
            for step in range(500, 26_000, 500)
        ],
    }
    config = record.run.config
    records = [
        record._replace(
            rows=record.rows | rows,
            run=record.run._replace(
                config=replace(config, env=f"Mine-v{env}", seed=seed, agent=replace(config.agent, tau=tau / 100))
            ),
        )
        for env in range(2) for tau in range(1, 11) for seed in range(2)
    ]  # fmt: skip
    text = comparison_page(records)
    ours = re.sub(r"<script>/\*\*.*?</script>", "", text, count=1, flags=re.DOTALL)
    assert len(ours) < 1_500_000
    assert len(by_environment(group_runs(records))) == 2
