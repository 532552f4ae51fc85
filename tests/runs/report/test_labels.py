import dataclasses

import pytest

from ddpg_jax.presets import PRESETS
from ddpg_jax.runs.report.labels import Setting, name_run_directory, name_settings
from ddpg_jax.runs.report.settings import flat_settings


def setting(preset="pendulum", run="a", known=True, **changes):
    """Settings of a preset with changes, by the names of their flags with `__` for the dot."""
    values = flat_settings(dataclasses.replace(PRESETS[preset].config, env="Pendulum-v1"))
    return Setting(values | {name.replace("__", "."): value for name, value in changes.items()}, preset * known, run)


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ([setting(), setting(exploration__kind="ou")], ["exploration = gaussian", "exploration = ou"]),
        ([setting(), setting(agent__normalization="layer")], ["normalization = none", "normalization = layer"]),
        ([setting(), setting("td3")], ["pendulum", "td3"]),
        ([setting(), setting("td3", agent__tau=0.01)], ["pendulum", "td3, tau = 0.01"]),
        ([setting(), setting("td3"), setting("td3", agent__tau=0.01)], ["pendulum", "td3", "td3, tau = 0.01"]),
        ([setting()], ["pendulum"]),
        (
            [setting(run="a"), setting(run="b", agent__num_critics=2, agent__policy_delay=2, agent__target_noise=0.2)],
            ["a", "b"],
        ),
        ([setting(run="mine", known=False)], ["mine"]),
        ([setting(run="mine", known=False), setting("td3", run="theirs", known=False)], ["mine", "theirs"]),
    ],
)
def test_a_label_is_the_shortest_that_tells_apart(settings, labels):
    assert name_settings(settings) == labels


def test_where_neither_presets_nor_names_tell_apart_every_setting_does():
    first, second = name_settings([setting(known=False), setting("td3", known=False)])
    assert first != second
    assert "num_critics = 1" in first
    assert "num_critics = 2, " in second


def test_two_presets_of_one_name_that_differ_much_are_named_by_their_runs():
    changed = {"agent__tau": 0.1, "agent__policy_delay": 2, "replay__n_step": 3, "replay__batch_size": 7}
    settings = [setting(), setting(run="b", **changed)]
    assert name_settings(settings) == ["a", "b"]
    assert name_settings([setting("td3", run="c"), *settings]) == ["c", "a", "b"]


def test_the_number_of_the_seed_is_no_part_of_a_name():
    names = ("ou-0", "td3-seed1", "gauss_s12", "tau0.001-2", "v3", "tau0.001", "7", "Hopper-v5-seed0-20261130-085500")
    assert [*map(name_run_directory, names)] == ["ou", "td3", "gauss", "tau0.001", "v3", "tau0.001", "7", "Hopper-v5"]
