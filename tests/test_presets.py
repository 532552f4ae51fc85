"""Presets are valid, have a source, and hold the numbers that the source gives."""

from dataclasses import replace

import pytest

from ddpg_jax.config import Config, ConfigError, validate
from ddpg_jax.presets import FAMILIES, FOR_ENVIRONMENT, PRESETS, find_preset, preset_for


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_names_its_source(name):
    preset = find_preset(name)
    validate(preset.config)
    assert preset.source.strip()


def test_an_unknown_preset_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"^preset 'lilicrap2015' is unknown; did you mean 'lillicrap2015'\?$"):
        find_preset("lilicrap2015")


@pytest.mark.parametrize(("env", "name"), FOR_ENVIRONMENT.items())
def test_every_environment_has_a_preset_that_exists(env, name):
    assert name in PRESETS
    assert preset_for(env) == name


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("HalfCheetah-v4", "mujoco"),
        ("Humanoid-v5", "mujoco"),
        ("InvertedDoublePendulum-v5", "mujoco"),
        ("envpool/Ant-v4", "mujoco"),
        ("gymnax/MountainCarContinuous-v0", "mountain_car"),
        ("LunarLanderContinuous-v2", "lunar_lander"),
        ("BipedalWalkerHardcore-v3", "bipedal_walker"),
        ("FetchReachDense-v4", "her"),
        ("FetchPush-v4", "goals"),
        ("HandManipulateBlockRotateZ-v1", "goals"),
        ("PointMaze_UMaze-v3", "goals"),
    ],
)
def test_an_environment_without_a_tuned_preset_gets_that_of_its_family(env, name):
    assert env not in FOR_ENVIRONMENT
    assert preset_for(env) == name


@pytest.mark.parametrize("env", ["SomethingElse-v0", "AntColony-v0", "MyHopper", "my.py:Hopper", "FetchCoffee-v1", ""])
def test_other_environments_get_the_default(env):
    assert preset_for(env) == "default"


def test_every_family_has_a_preset():
    assert set(FAMILIES) <= set(PRESETS)


def test_goals_that_take_longer_have_the_settings_of_her_and_more_steps():
    goals, her = find_preset("goals").config, find_preset("her").config
    assert replace(goals, env=her.env, train=her.train) == her
    assert goals.train.total_steps == 1_000_000


def test_default_has_the_numbers_of_the_specification():
    config = find_preset("default").config
    assert config == Config()
    assert config.agent.hidden_sizes == (256, 256)
    assert (config.agent.activation, config.agent.normalization) == ("relu", "layer")
    assert (config.agent.actor_lr, config.agent.critic_lr, config.agent.tau) == (1e-4, 1e-3, 0.005)
    assert (config.agent.num_critics, config.agent.policy_delay, config.agent.target_noise) == (1, 1, 0.0)
    assert (config.replay.capacity, config.replay.batch_size, config.replay.discount) == (1_000_000, 256, 0.99)
    assert (config.exploration.kind, config.exploration.stddev, config.exploration.theta) == ("gaussian", 0.1, 0.15)


def test_lillicrap2015_has_the_numbers_of_section_7():
    config = find_preset("lillicrap2015").config
    assert (config.agent.actor_lr, config.agent.critic_lr) == (1e-4, 1e-3)
    assert (config.agent.tau, config.agent.critic_weight_decay) == (0.001, 1e-2)
    assert (config.agent.hidden_sizes, config.agent.normalization) == ((400, 300), "batch")
    assert (config.replay.capacity, config.replay.batch_size, config.replay.discount) == (1_000_000, 64, 0.99)
    assert (config.exploration.kind, config.exploration.theta, config.exploration.stddev) == ("ou", 0.15, 0.2)


def test_fujimoto2018_has_the_numbers_of_the_paper_s_our_ddpg():
    preset = find_preset("fujimoto2018")
    config = preset.config
    assert (config.agent.actor_lr, config.agent.critic_lr, config.agent.tau) == (1e-3, 1e-3, 0.005)
    assert (config.agent.hidden_sizes, config.agent.normalization) == ((400, 300), "none")
    assert (config.agent.num_critics, config.agent.policy_delay, config.agent.target_noise) == (1, 1, 0.0)
    assert (config.replay.batch_size, config.replay.discount, config.replay.capacity) == (100, 0.99, 1_000_000)
    assert (config.exploration.kind, config.exploration.stddev) == ("gaussian", 0.1)
    assert (config.train.start_steps, config.train.total_steps) == (10_000, 1_000_000)
    assert config.agent.critic_weight_decay == 0
    assert config.agent.max_grad_norm is None
    assert "section 6.1" in preset.source
    assert "the paper has 1,000 elsewhere" in preset.source
    assert "repository" not in preset.source


def test_the_authors_later_repository_has_presets_of_its_own():
    for name in ("fujimoto2018_repository", "td3_repository"):
        preset = find_preset(name)
        config = preset.config
        assert (config.agent.actor_lr, config.agent.critic_lr, config.agent.tau) == (3e-4, 3e-4, 0.005)
        assert (config.agent.hidden_sizes, config.agent.normalization) == ((256, 256), "none")
        assert (config.replay.batch_size, config.replay.discount) == (256, 0.99)
        assert (config.exploration.kind, config.exploration.stddev) == ("gaussian", 0.1)
        assert (config.train.start_steps, config.train.update_after, config.train.eval_every) == (25_000, 25_000, 5_000)
        assert "github.com/sfujim/TD3" in preset.source


@pytest.mark.parametrize(("name", "plain"), [("td3", "fujimoto2018"), ("td3_repository", "fujimoto2018_repository")])
def test_td3_adds_two_critics_a_delay_and_target_noise(name, plain):
    config, ddpg = find_preset(name).config, find_preset(plain).config
    assert (config.agent.num_critics, config.agent.policy_delay) == (2, 2)
    assert (config.agent.target_noise, config.agent.target_noise_clip) == (0.2, 0.5)
    alone = replace(config.agent, num_critics=1, policy_delay=1, target_noise=0.0)
    assert replace(config, agent=alone) == ddpg, "and nothing else"


def test_notebook_has_the_notebook_s_numbers():
    config = find_preset("notebook").config
    assert (config.agent.hidden_sizes, config.agent.normalization) == ((256, 256), "none")
    assert (config.agent.actor_lr, config.agent.critic_lr, config.agent.max_grad_norm) == (1e-3, 1e-3, 1.0)
    assert (config.replay.capacity, config.replay.batch_size) == (200_000, 128)
    assert (config.train.start_steps, config.train.update_after) == (2_000, 1_000)
    assert (config.exploration.kind, config.exploration.stddev) == ("gaussian", 0.05), "0.1 of a torque up to 2"


def test_nexus_has_the_numbers_of_the_document():
    config = find_preset("nexus").config
    assert (config.agent.hidden_sizes, config.agent.normalization) == ((256, 256), "layer")
    assert (config.agent.actor_lr, config.agent.critic_lr, config.agent.tau) == (1e-4, 1e-3, 0.005)
    assert config.agent.max_grad_norm == 1.0
    assert (config.exploration.kind, config.exploration.theta, config.exploration.stddev) == ("ou", 0.15, 0.1)
    assert (config.replay.capacity, config.replay.batch_size, config.replay.discount) == (1_000_000, 256, 0.99)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lillicrap2015", "does not give dt"),
        ("her", "make 40 updates after each round of episodes and then move the targets once"),
        ("param_noise", "the authors make 50 for 100 steps"),
        ("notebook", "in units of the torque"),
        ("mountain_car", "1,000 random steps, where it has 100"),
    ],
)
def test_what_departs_from_a_source_is_named_beside_it(name, words):
    assert words in find_preset(name).source


def test_smooth_robotics_has_more_noise_and_slower_targets():
    config = find_preset("smooth_robotics").config
    assert (config.exploration.stddev, config.agent.tau) == (0.2, 0.001)


def test_d4pg_is_n_step_prioritized_and_distributional():
    config = find_preset("d4pg").config
    assert (config.replay.n_step, config.replay.sampling, config.replay.batch_size) == (5, "prioritized", 256)
    assert (config.agent.num_atoms, config.agent.value_min, config.agent.value_max) == (51, -150, 150)
    assert (config.agent.actor_lr, config.agent.critic_lr) == (1e-4, 1e-4)
    assert (config.agent.tau, config.agent.target_period) == (1, 100)
    assert (config.exploration.kind, config.exploration.stddev) == ("gaussian", 0.3)


def test_her_sees_four_of_five_rows_in_the_light_of_a_later_goal():
    config = find_preset("her").config
    assert (config.replay.hindsight, config.replay.hindsight_ratio, config.replay.discount) == ("future", 0.8, 0.98)
    assert (config.agent.actor_lr, config.agent.critic_lr, config.agent.tau) == (1e-3, 1e-3, 0.05)
    assert config.agent.normalize_obs
    assert (config.exploration.stddev, config.agent.hidden_sizes) == (0.2, (256, 256, 256))


def test_param_noise_is_on_the_parameters_alone():
    config = find_preset("param_noise").config
    assert (config.exploration.kind, config.exploration.parameter_noise) == ("greedy", 0.2)
    assert (config.agent.hidden_sizes, config.agent.normalization) == ((64, 64), "layer")
    assert (config.agent.actor_lr, config.agent.critic_lr, config.agent.tau) == (1e-4, 1e-3, 0.001)
    assert (config.agent.critic_weight_decay, config.replay.batch_size) == (1e-2, 128)
