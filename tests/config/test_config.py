"""Settings are checked all at once, and each message names the field, its value and what is allowed."""

import dataclasses
import json
import math

import pytest

from ddpg_jax.config import (
    CheckpointConfig,
    Config,
    ConfigError,
    DDPGConfig,
    ExplorationConfig,
    ReplayConfig,
    TrainConfig,
    from_dict,
    num_updates,
    validate,
)

SECTIONS = (DDPGConfig, ReplayConfig, ExplorationConfig, TrainConfig, CheckpointConfig, Config)

ONE_BAD_VALUE = [
    (TrainConfig, "max_skipped_updates", 0, "max_skipped_updates = 0 must be >= 1"),
    (TrainConfig, "probe_every", -1, "probe_every = -1 must be >= 0"),
    (Config, "writers", ("tensorbord",), "writers = ('tensorbord',) must be any of 'tensorboard', 'wandb'"),
    (Config, "wandb_mode", "onlin", "wandb_mode = 'onlin' must be one of 'offline', 'online'; did you mean 'online'?"),
    (Config, "writers", ("wandb", "wandb"), "writers = ('wandb', 'wandb') must be each at most once"),
    (Config, "wandb_mode", "on", "wandb_mode = 'on' must be one of 'offline', 'online'; did you mean 'online'?"),
    (CheckpointConfig, "every", -1, "every = -1 must be >= 0"),
    (CheckpointConfig, "minutes", -1.0, "minutes = -1.0 must be >= 0"),
    (CheckpointConfig, "keep", 0, "keep = 0 must be >= 1"),
    (Config, "env_timeout", 0.0, "env_timeout = 0.0 must be > 0, or None"),
    (Config, "demonstrations", 3, "demonstrations = 3 must be str | None"),
    (Config, "env_retries", -1, "env_retries = -1 must be >= 0"),
    (Config, "checkpoint", 3, "checkpoint = 3 must be CheckpointConfig"),
    (DDPGConfig, "hidden_sizes", (), "hidden_sizes = () must be one or more sizes >= 1"),
    (DDPGConfig, "hidden_sizes", (64, 0), "hidden_sizes = (64, 0) must be one or more sizes >= 1"),
    (
        DDPGConfig,
        "activation",
        "rellu",
        "activation = 'rellu' must be one of 'relu', 'tanh', 'elu', 'gelu', 'silu'; did you mean 'relu'?",
    ),
    (
        DDPGConfig,
        "normalization",
        "layr",
        "normalization = 'layr' must be one of 'layer', 'batch', 'none'; did you mean 'layer'?",
    ),
    (DDPGConfig, "kernels", "none", "kernels = 'none' must be one of 'auto', 'xla'; known are auto, xla"),
    (DDPGConfig, "actor_lr", 0.0, "actor_lr = 0.0 must be > 0"),
    (DDPGConfig, "critic_lr", -1e-3, "critic_lr = -0.001 must be > 0"),
    (DDPGConfig, "lr_decay_updates", -1, "lr_decay_updates = -1 must be >= 0"),
    (DDPGConfig, "lr_final_fraction", 1.5, "lr_final_fraction = 1.5 must be in [0, 1]"),
    (DDPGConfig, "critic_weight_decay", -0.1, "critic_weight_decay = -0.1 must be >= 0"),
    (DDPGConfig, "max_grad_norm", 0.0, "max_grad_norm = 0.0 must be > 0, or None for no clipping"),
    (DDPGConfig, "tau", 0.0, "tau = 0.0 must be in (0, 1]"),
    (DDPGConfig, "tau", 1.5, "tau = 1.5 must be in (0, 1]"),
    (DDPGConfig, "num_critics", 0, "num_critics = 0 must be >= 1"),
    (DDPGConfig, "policy_delay", 0, "policy_delay = 0 must be >= 1"),
    (DDPGConfig, "target_noise", -0.2, "target_noise = -0.2 must be >= 0"),
    (DDPGConfig, "target_noise_clip", -0.5, "target_noise_clip = -0.5 must be >= 0"),
    (DDPGConfig, "critic_hidden_sizes", (), "critic_hidden_sizes = () must be one or more sizes >= 1, or None"),
    (DDPGConfig, "torso", "cnn", "torso = 'cnn' must be one of 'flat', 'conv'; did you mean 'conv'?"),
    (DDPGConfig, "normalize_obs", 1, "normalize_obs = 1 must be bool"),
    (DDPGConfig, "normalize_reward", "yes", "normalize_reward = 'yes' must be bool"),
    (
        DDPGConfig,
        "actor_lr_schedule",
        "cosin",
        "actor_lr_schedule = 'cosin' must be one of 'linear', 'cosine', 'constant'; did you mean 'cosine'?",
    ),
    (
        DDPGConfig,
        "critic_lr_schedule",
        "liner",
        "critic_lr_schedule = 'liner' must be one of 'linear', 'cosine', 'constant'; did you mean 'linear'?",
    ),
    (DDPGConfig, "actor_weight_decay", -1.0, "actor_weight_decay = -1.0 must be >= 0"),
    (DDPGConfig, "target_period", 0, "target_period = 0 must be >= 1"),
    (
        DDPGConfig,
        "target_reduction",
        "minimum",
        "target_reduction = 'minimum' must be one of 'min', 'mean'; did you mean 'min'?",
    ),
    (DDPGConfig, "target_subset", 0, "target_subset = 0 must be >= 1, or None"),
    (DDPGConfig, "num_atoms", 0, "num_atoms = 0 must be >= 1"),
    (DDPGConfig, "value_min", -math.inf, "value_min = -inf must be finite"),
    (DDPGConfig, "value_max", math.nan, "value_max = nan must be finite"),
    (
        DDPGConfig,
        "critic_loss",
        "hubert",
        "critic_loss = 'hubert' must be one of 'squared', 'huber'; did you mean 'huber'?",
    ),
    (DDPGConfig, "q_penalty", -0.1, "q_penalty = -0.1 must be >= 0"),
    (
        ReplayConfig,
        "sampling",
        "prioritised",
        "sampling = 'prioritised' must be one of 'uniform', 'prioritized'; did you mean 'prioritized'?",
    ),
    (ReplayConfig, "priority_exponent", -1.0, "priority_exponent = -1.0 must be >= 0"),
    (ReplayConfig, "importance_exponent", 2.0, "importance_exponent = 2.0 must be in [0, 1]"),
    (ReplayConfig, "importance_steps", -1, "importance_steps = -1 must be >= 0"),
    (
        ReplayConfig,
        "hindsight",
        "futur",
        "hindsight = 'futur' must be one of 'none', 'final', 'future'; did you mean 'future'?",
    ),
    (ReplayConfig, "hindsight_ratio", 1.5, "hindsight_ratio = 1.5 must be in [0, 1]"),
    (ReplayConfig, "compact", 1, "compact = 1 must be bool"),
    (ExplorationConfig, "decay_rate", 0.0, "decay_rate = 0.0 must be in (0, 1]"),
    (ExplorationConfig, "parameter_noise", -0.1, "parameter_noise = -0.1 must be >= 0"),
    (ExplorationConfig, "smoothing", 1.0, "smoothing = 1.0 must be in [0, 1)"),
    (ReplayConfig, "capacity", 2**31, "capacity = 2147483648 must be in [1, 2147483647]"),
    (ReplayConfig, "batch_size", 0, "batch_size = 0 must be >= 1"),
    (ReplayConfig, "discount", 1.01, "discount = 1.01 must be in [0, 1]"),
    (ReplayConfig, "n_step", 0, "n_step = 0 must be >= 1"),
    (
        ExplorationConfig,
        "kind",
        "gausian",
        "kind = 'gausian' must be one of 'gaussian', 'ou', 'uniform', 'greedy'; did you mean 'gaussian'?",
    ),
    (ExplorationConfig, "stddev", -0.1, "stddev = -0.1 must be >= 0"),
    (ExplorationConfig, "final_stddev", -0.1, "final_stddev = -0.1 must be >= 0, or None"),
    (ExplorationConfig, "decay_steps", -1, "decay_steps = -1 must be >= 0"),
    (ExplorationConfig, "theta", 0.0, "theta = 0.0 must be > 0"),
    (ExplorationConfig, "dt", 0.0, "dt = 0.0 must be > 0"),
    (TrainConfig, "num_envs", 0, "num_envs = 0 must be >= 1"),
    (TrainConfig, "total_steps", 0, "total_steps = 0 must be in [1, 2147483647]"),
    (TrainConfig, "start_steps", -1, "start_steps = -1 must be >= 0"),
    (TrainConfig, "update_after", 0, "update_after = 0 must be >= 1"),
    (TrainConfig, "updates_per_step", 0, "updates_per_step = 0 must be >= 1"),
    (TrainConfig, "log_every", 0, "log_every = 0 must be >= 1"),
    (TrainConfig, "eval_every", -1, "eval_every = -1 must be >= 0"),
    (TrainConfig, "eval_episodes", 0, "eval_episodes = 0 must be >= 1"),
    (TrainConfig, "final_eval_episodes", -1, "final_eval_episodes = -1 must be >= 0"),
    (TrainConfig, "eval_steps", 0, "eval_steps = 0 must be >= 1, or None"),
    (TrainConfig, "eval_envs", -1, "eval_envs = -1 must be >= 0"),
    (Config, "env", 3, "env = 3 must be str"),
    (Config, "env_kwargs", {"g": math.nan}, """env_kwargs = {'g': nan} must be a JSON object, such as {"g": 9.0}"""),
    (Config, "env_kwargs", [1], """env_kwargs = [1] must be a JSON object, such as {"g": 9.0}"""),
    (Config, "wrappers", (3,), "wrappers = (3,) must be tuple[str, ...]"),
    (
        Config,
        "wrappers",
        ("Rescale {1}",),
        """wrappers = ('Rescale {1}',) must be names, each with its arguments as JSON, such as """
        """'RescaleAction {"min_action": -1, "max_action": 1}'""",
    ),
    (Config, "max_episode_steps", 0, "max_episode_steps = 0 must be in [1, 2147483647], or None"),
    (Config, "max_episode_steps", 2.5, "max_episode_steps = 2.5 must be int | None"),
    (Config, "seed", -1, "seed = -1 must be in [0, 2147483647]"),
    (Config, "agent", 3, "agent = 3 must be DDPGConfig"),
    (Config, "replay", 3, "replay = 3 must be ReplayConfig"),
    (Config, "exploration", 3, "exploration = 3 must be ExplorationConfig"),
    (Config, "train", 3, "train = 3 must be TrainConfig"),
]

WRONG_TYPE = [
    (DDPGConfig, "num_critics", True, "num_critics = True must be int"),
    (DDPGConfig, "num_critics", 2.0, "num_critics = 2.0 must be int"),
    (DDPGConfig, "tau", True, "tau = True must be float"),
    (DDPGConfig, "tau", "0.1", "tau = '0.1' must be float"),
    (DDPGConfig, "actor_lr", None, "actor_lr = None must be float"),
    (DDPGConfig, "max_grad_norm", "1", "max_grad_norm = '1' must be float | None"),
    (DDPGConfig, "hidden_sizes", [64, 64], "hidden_sizes = [64, 64] must be tuple[int, ...]"),
    (DDPGConfig, "hidden_sizes", (64, 6.4), "hidden_sizes = (64, 6.4) must be tuple[int, ...]"),
]


def lines(config):
    with pytest.raises(ConfigError) as error:
        validate(config)
    return str(error.value).splitlines()


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_are_valid_and_come_back_unchanged(section):
    config = section()
    assert validate(config) is config


@pytest.mark.parametrize(("section", "name", "value", "line"), ONE_BAD_VALUE + WRONG_TYPE)
def test_a_bad_value_gives_exactly_its_line(section, name, value, line):
    assert lines(section(**{name: value})) == [line]


def test_every_field_has_a_bad_value_above():
    tested = {(section, name) for section, name, *_ in ONE_BAD_VALUE}
    assert tested == {(section, field.name) for section in SECTIONS for field in dataclasses.fields(section)}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["actor_lr", "critic_lr", "tau", "critic_weight_decay", "target_noise"])
def test_a_number_that_is_not_finite_is_refused(name, value):
    assert len(lines(DDPGConfig(**{name: value}))) == 1


def test_a_literal_far_from_every_choice_lists_them_all():
    assert lines(ExplorationConfig(kind="zzz"))[0].endswith("; known are gaussian, ou, uniform, greedy")


def test_an_int_is_a_fine_float():
    validate(DDPGConfig(tau=1, actor_lr=1, max_grad_norm=1))


def test_all_problems_of_all_sections_are_reported_at_once():
    config = Config(
        agent=DDPGConfig(tau=1.5, activation="thanh"),
        replay=ReplayConfig(n_step=0),
        exploration=ExplorationConfig(dt=-1.0),
        train=TrainConfig(num_envs=0),
    )
    assert lines(config) == [
        "agent.tau = 1.5 must be in (0, 1]",
        "agent.activation = 'thanh' must be one of 'relu', 'tanh', 'elu', 'gelu', 'silu'; did you mean 'tanh'?",
        "replay.n_step = 0 must be >= 1",
        "exploration.dt = -1.0 must be > 0",
        "train.num_envs = 0 must be >= 1",
    ]


def test_a_batch_larger_than_the_memory_is_reported_with_a_remedy():
    assert lines(Config(replay=ReplayConfig(capacity=10, batch_size=11))) == [
        "replay.batch_size = 11 must be at most replay.capacity = 10; lower the one or raise the other"
    ]
    validate(ReplayConfig(capacity=10, batch_size=10))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"decay_steps": 100},
            "decay_steps = 100 needs final_stddev, the scale it leads to, and no decay_rate beside it; "
            "they are None and 1.0",
        ),
        (
            {"decay_steps": 100, "final_stddev": 0.1, "decay_rate": 0.9},
            "decay_steps = 100 needs final_stddev, the scale it leads to, and no decay_rate beside it; "
            "they are 0.1 and 0.9",
        ),
        (
            {"final_stddev": 0.1},
            "final_stddev = 0.1 needs decay_steps, or decay_rate below 1; set one of them to let the noise decay",
        ),
        (
            {"final_stddev": 0.3, "decay_rate": 0.9},
            "final_stddev = 0.3 must be at most stddev = 0.1 where decay_rate = 0.9 lowers it",
        ),
        (
            {"kind": "greedy", "decay_rate": 0.9},
            "decay_steps = 0 and decay_rate = 0.9 need a noise that decays; "
            "kind = 'greedy' has none, choose 'gaussian' or 'ou', or set parameter_noise",
        ),
        (
            {"kind": "greedy", "parameter_noise": 0.2, "final_stddev": 0.3, "decay_rate": 0.9},
            "final_stddev = 0.3 must be at most parameter_noise = 0.2 where decay_rate = 0.9 lowers it",
        ),
        (
            {"parameter_noise": 0.2, "stddev": 0.0, "final_stddev": 0.3, "decay_steps": 9},
            "parameter_noise = 0.2 decays in proportion to stddev = 0.0, which must be above 0; "
            "choose kind 'greedy' for parameter noise alone",
        ),
        (
            {"kind": "uniform", "parameter_noise": 0.2},
            "parameter_noise = 0.2 means nothing with kind = 'uniform', which never asks the actor; "
            "choose 'greedy' for parameter noise alone",
        ),
    ],
)
def test_a_decay_needs_its_end_its_noise_and_one_pace(settings, line):
    assert lines(ExplorationConfig(**settings)) == [line]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"num_critics": 2, "target_subset": 3},
            "target_subset = 3 must be at most num_critics = 2; raise the number of critics",
        ),
        ({"value_min": 1.0, "value_max": 1.0}, "value_min = 1.0 must be below value_max = 1.0"),
    ],
)
def test_settings_of_the_critics_fit_together(settings, line):
    assert lines(DDPGConfig(**settings)) == [line]


@pytest.mark.parametrize(
    ("settings", "steps", "updates"),
    [
        ({"update_after": 1_000}, 1_000, 0),
        ({"update_after": 1_000}, 1_001, 1),
        ({"update_after": 1_000, "updates_per_step": 3}, 1_002, 6),
        ({"update_after": 9, "num_envs": 8}, 16, 0),
        ({"update_after": 9, "num_envs": 8}, 17, 1),
        ({"update_after": 1, "num_envs": 8, "updates_per_step": 8}, 10_000, 1_249 * 8),
        ({"update_after": 5_000}, 10, 0),
    ],
)
def test_updates_are_counted_as_the_loop_makes_them(settings, steps, updates):
    assert num_updates(TrainConfig(**settings), steps) == updates


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, 2**31 - 1),
        ({"num_envs": 2}, 2**31 - 2),
        ({"num_envs": 1000}, 2_147_483_000),
        ({"updates_per_step": 2, "update_after": 10}, 2**30 - 1 + 10),
        ({"updates_per_step": 3, "update_after": 1, "num_envs": 2}, 2 * (715_827_882 + 1)),
        ({"updates_per_step": 64, "update_after": 5, "num_envs": 4}, 4 * (33_554_431 + 2)),
    ],
)
def test_steps_and_updates_are_never_more_than_int32_counts(settings, most):
    fits, wraps = (
        TrainConfig(total_steps=most, **settings),
        TrainConfig(total_steps=min(most + 1, 2**31 - 1), **settings),
    )
    validate(fits)
    assert num_updates(fits, most) < 2**31
    assert -(-most // fits.num_envs) * fits.num_envs < 2**31
    if most < 2**31 - 1:
        (line,) = lines(Config(train=wraps))
        assert line.startswith(f"train.total_steps = {most + 1} must be at most {most} with train.num_envs = ")


def test_the_memory_holds_at_least_one_step_of_all_environments():
    config = Config(replay=ReplayConfig(capacity=3, batch_size=1), train=TrainConfig(num_envs=4))
    assert lines(config) == [
        "replay.capacity = 3 must hold at least one step of train.num_envs = 4 environments; raise it"
    ]


def test_a_window_of_steps_fits_in_the_memory():
    def config(n_step, num_envs):
        replay = ReplayConfig(capacity=12, batch_size=1, n_step=n_step)
        return Config(replay=replay, train=TrainConfig(num_envs=num_envs))

    for fits in (config(1, 12), config(3, 4), config(12, 1)):
        validate(fits)
    assert lines(config(4, 4)) == [
        "replay.n_step = 4 steps of train.num_envs = 4 environments must fit in replay.capacity = 12; lower the first"
    ]


def test_settings_survive_json():
    config = Config(seed=7, agent=DDPGConfig(hidden_sizes=(400, 300), max_grad_norm=1.0), train=TrainConfig(num_envs=3))
    assert from_dict(Config, json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_missing_names_keep_their_defaults():
    assert from_dict(Config, {"agent": {"tau": 0.1}}) == Config(agent=DDPGConfig(tau=0.1))


def test_unknown_names_are_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"^sead is no setting; did you mean 'seed'\?$"):
        from_dict(Config, {"sead": 1})
    with pytest.raises(ConfigError, match=r"^agent\.actor_rl is no setting; did you mean 'actor_lr'\?$"):
        from_dict(Config, {"agent": {"actor_rl": 1e-4}})


def test_several_unknown_names_are_reported_together():
    with pytest.raises(ConfigError) as error:
        from_dict(ReplayConfig, {"capacty": 1, "batchsize": 2})
    assert str(error.value).splitlines() == [
        "capacty is no setting; did you mean 'capacity'?",
        "batchsize is no setting; did you mean 'batch_size'?",
    ]


@pytest.mark.parametrize("section", SECTIONS)
def test_settings_are_frozen_and_hashable(section):
    config = section()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, None)
    assert hash(config) == hash(section())


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"critic_lr_schedule": "cosine"}, "critic_lr_schedule = 'cosine' means nothing with lr_decay_updates = 0"),
        ({"actor_lr_schedule": "cosine"}, "actor_lr_schedule = 'cosine' means nothing with lr_decay_updates = 0"),
        ({"lr_final_fraction": 0.5}, "lr_final_fraction = 0.5 means nothing with lr_decay_updates = 0"),
    ],
)
def test_a_learning_rate_that_would_not_fall_is_refused(settings, line):
    (found,) = lines(DDPGConfig(**settings))
    assert found == f"{line}, which keeps the learning rate; set the number of updates over which it falls"
    validate(DDPGConfig(**settings, lr_decay_updates=10))
    validate(DDPGConfig(actor_lr_schedule="constant", critic_lr_schedule="constant"))


@pytest.mark.parametrize("decay", [{"decay_rate": 0.9}, {"decay_steps": 9, "final_stddev": 0.1}])
@pytest.mark.parametrize("kind", ["greedy", "gaussian", "ou"])
def test_parameter_noise_may_decay(kind, decay):
    validate(ExplorationConfig(kind=kind, parameter_noise=0.2, **decay))


def test_wandb_goes_online_only_where_it_is_a_writer():
    assert lines(Config(wandb_mode="online")) == [
        "wandb_mode = 'online' needs W&B among the writers: add --writers wandb"
    ]
    validate(Config(wandb_mode="online", writers=("wandb",)))
