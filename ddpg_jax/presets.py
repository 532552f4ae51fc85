"""Named settings, each with where its numbers come from.

Noise is in units of half the action range, whatever the unit of the source. What a source does that these settings do
not say is named in its `source`. A source that says nothing of random steps at the start leaves the default's 1,000.
"""

import re
from dataclasses import replace
from typing import NamedTuple

from ddpg_jax.config import Config, ConfigError, DDPGConfig, ExplorationConfig, ReplayConfig, TrainConfig, nearest


class Preset(NamedTuple):
    """Named settings and where their numbers come from.

    Attributes:
        config: the settings.
        source: paper or repository, with what it does that the settings do not say.
    """

    config: Config
    source: str


DEFAULT = Config()

LILLICRAP2015 = Config(
    agent=DDPGConfig(hidden_sizes=(400, 300), normalization="batch", tau=0.001, critic_weight_decay=1e-2),
    replay=ReplayConfig(batch_size=64),
    exploration=ExplorationConfig(kind="ou", stddev=0.2, theta=0.15, dt=1.0),
)

NEXUS = Config(
    agent=DDPGConfig(max_grad_norm=1.0),
    exploration=ExplorationConfig(kind="ou", stddev=0.1, theta=0.15, dt=1.0),
)

FUJIMOTO2018 = Config(
    agent=DDPGConfig(hidden_sizes=(400, 300), normalization="none", actor_lr=1e-3, critic_lr=1e-3),
    replay=ReplayConfig(batch_size=100),
    train=TrainConfig(start_steps=10_000, update_after=1_000, eval_every=5_000),
)

FUJIMOTO2018_REPOSITORY = Config(
    agent=DDPGConfig(normalization="none", actor_lr=3e-4, critic_lr=3e-4),
    train=TrainConfig(start_steps=25_000, update_after=25_000, eval_every=5_000),
)


def as_td3(config: Config) -> Config:
    """What TD3 adds to DDPG: two critics, an actor and targets that wait, and noise on the target's action."""
    agent = replace(config.agent, num_critics=2, policy_delay=2, target_noise=0.2, target_noise_clip=0.5)
    return replace(config, agent=agent)


D4PG = Config(
    agent=DDPGConfig(
        actor_lr=1e-4, critic_lr=1e-4, tau=1.0, target_period=100, num_atoms=51, value_min=-150.0, value_max=150.0
    ),
    replay=ReplayConfig(n_step=5, sampling="prioritized"),
    exploration=ExplorationConfig(stddev=0.3),
)

HER = Config(
    env="FetchReach-v4",
    agent=DDPGConfig(
        hidden_sizes=(256, 256, 256),
        normalization="none",
        normalize_obs=True,
        actor_lr=1e-3,
        critic_lr=1e-3,
        tau=0.05,
    ),
    replay=ReplayConfig(discount=0.98, hindsight="future"),
    exploration=ExplorationConfig(stddev=0.2),
    train=TrainConfig(total_steps=20_000),
)

GOALS = replace(HER, env="FetchPush-v4", train=TrainConfig())

PARAM_NOISE = Config(
    agent=DDPGConfig(hidden_sizes=(64, 64), tau=0.001, critic_weight_decay=1e-2, normalize_obs=True),
    replay=ReplayConfig(capacity=100_000, batch_size=128),
    exploration=ExplorationConfig(kind="greedy", parameter_noise=0.2),
)

NOTEBOOK = Config(
    agent=DDPGConfig(normalization="none", actor_lr=1e-3, critic_lr=1e-3, max_grad_norm=1.0),
    replay=ReplayConfig(capacity=200_000, batch_size=128),
    # 0.1 of the torque, which goes from -2 to 2.
    exploration=ExplorationConfig(stddev=0.05),
    train=TrainConfig(total_steps=50_000, start_steps=2_000, update_after=1_000),
)

SMOOTH_ROBOTICS = Config(agent=DDPGConfig(tau=0.001), exploration=ExplorationConfig(stddev=0.2))

ZOO_AGENT = DDPGConfig(hidden_sizes=(400, 300), normalization="none", actor_lr=1e-3, critic_lr=1e-3)
ZOO_TRAIN = TrainConfig(start_steps=10_000, update_after=10_000, eval_every=10_000)
ZOO_REPLAY = ReplayConfig(capacity=200_000, discount=0.98)

LUNAR_LANDER = Config(
    env="LunarLanderContinuous-v3",
    agent=ZOO_AGENT,
    replay=ZOO_REPLAY,
    train=replace(ZOO_TRAIN, total_steps=300_000),
)

BIPEDAL_WALKER = replace(LUNAR_LANDER, env="BipedalWalker-v3", train=ZOO_TRAIN)

MOUNTAIN_CAR = Config(
    env="MountainCarContinuous-v0",
    agent=replace(ZOO_AGENT, hidden_sizes=(64, 64)),
    replay=ReplayConfig(batch_size=64),
    exploration=ExplorationConfig(kind="ou", stddev=0.5, theta=0.15, dt=0.01),
    train=TrainConfig(total_steps=300_000, eval_every=10_000),
)

MUJOCO = Config(env="HalfCheetah-v5", agent=ZOO_AGENT, train=ZOO_TRAIN)

PENDULUM = Config(
    agent=DDPGConfig(
        normalization="none",
        actor_lr=1e-3,
        critic_lr=1e-3,
        lr_decay_updates=9_000,
        max_grad_norm=1.0,
    ),
    replay=ReplayConfig(capacity=100_000, batch_size=128, discount=0.98),
    train=TrainConfig(total_steps=10_000),
)

CARTPOLE_SWINGUP = Config(
    env="dmc/cartpole-swingup-v0",
    agent=DDPGConfig(actor_lr=3e-4, tau=0.01, lr_decay_updates=49_000),
    replay=ReplayConfig(n_step=3),
    train=TrainConfig(total_steps=50_000, eval_every=10_000),
)

FUJIMOTO_START = (
    "10,000 random steps are those of HalfCheetah and Ant, the paper has 1,000 elsewhere; updates begin after "
    "1,000 steps, the first episode of theirs"
)
FUJIMOTO_REPOSITORY = "the authors' later repository (github.com/sfujim/TD3)"
ZOO = "RL Baselines3 Zoo, hyperparameters of DDPG for this environment"

PRESETS: dict[str, Preset] = {
    "default": Preset(DEFAULT, "the defaults of every setting"),
    "lillicrap2015": Preset(
        LILLICRAP2015,
        "Lillicrap et al. (2015), section 7, low-dimensional tasks; the observation itself is not batch-normalised, "
        "the action enters at the critic's first layer, not its second, and the paper does not give dt",
    ),
    "nexus": Preset(
        NEXUS,
        "the standard configuration of the document this project began with: LayerNorm, Ornstein-Uhlenbeck noise, "
        "clipped gradients; it does not give dt",
    ),
    "fujimoto2018": Preset(
        FUJIMOTO2018,
        f"Fujimoto et al. (2018), section 6.1 and the appendix on 'Our DDPG'; {FUJIMOTO_START}",
    ),
    "fujimoto2018_repository": Preset(
        FUJIMOTO2018_REPOSITORY, f"OurDDPG.py and main.py of {FUJIMOTO_REPOSITORY}, not the paper's values"
    ),
    "td3": Preset(as_td3(FUJIMOTO2018), f"Fujimoto et al. (2018), algorithm 1 and section 6.1; {FUJIMOTO_START}"),
    "td3_repository": Preset(
        as_td3(FUJIMOTO2018_REPOSITORY), f"TD3.py and main.py of {FUJIMOTO_REPOSITORY}, not the paper's values"
    ),
    "d4pg": Preset(
        D4PG,
        "Barth-Maron et al. (2018), algorithm 1 and section 4, with one actor and the default's layers; LayerNorm and "
        "the range of values are those of Acme's D4PG",
    ),
    "her": Preset(
        HER,
        "Andrychowicz et al. (2017), appendix A, and Plappert et al. (2018, arXiv:1802.09464), appendix: 'future' with "
        "four goals to one; one update a step and targets that follow each of them, where the papers make 40 updates "
        "after each round of episodes and then move the targets once; no penalty on actions, no clipped targets, and "
        "no uniform actions after the start",
    ),
    "goals": Preset(GOALS, "the settings of her over 1,000,000 steps, for goals that take longer than FetchReach's"),
    "param_noise": Preset(
        PARAM_NOISE,
        "Plappert et al. (2018, arXiv:1706.01905), appendix A; the action enters at the critic's first layer, noise is "
        "renewed with each episode, and one update is made a step, where the authors make 50 for 100 steps",
    ),
    "notebook": Preset(
        NOTEBOOK,
        "the settings of a widely read PyTorch notebook on DDPG for Pendulum, whose noise of 0.1 is in units of the "
        "torque, 0.05 of half its range",
    ),
    "smooth_robotics": Preset(SMOOTH_ROBOTICS, "the defaults with more noise (0.2) and slower targets (tau 0.001)"),
    "pendulum": Preset(
        PENDULUM, "tuned here for a calm last policy; the learning parity of benchmarks/results has ten seeds"
    ),
    "cartpole_swingup": Preset(
        CARTPOLE_SWINGUP,
        "tuned here on DeepMind Control's cartpole: three-step returns and a learning rate that falls; see "
        "benchmarks/results/tasks-suites.json",
    ),
    "lunar_lander": Preset(LUNAR_LANDER, ZOO),
    "bipedal_walker": Preset(BIPEDAL_WALKER, ZOO),
    "mountain_car": Preset(
        MOUNTAIN_CAR,
        "RL Baselines3 Zoo, DDPG's noise, learning rates and steps for this environment; smaller networks and batches, "
        "and 1,000 random steps, where it has 100",
    ),
    "mujoco": Preset(MUJOCO, "RL Baselines3 Zoo, hyperparameters of DDPG for HalfCheetah, Ant, Hopper and Walker2d"),
}

FOR_ENVIRONMENT = {
    "Pendulum-v1": "pendulum",
    "gymnax/Pendulum-v1": "pendulum",
    "LunarLanderContinuous-v3": "lunar_lander",
    "BipedalWalker-v3": "bipedal_walker",
    "MountainCarContinuous-v0": "mountain_car",
    "FetchReach-v4": "her",
    "parking-v0": "her",
    "dmc/cartpole-swingup-v0": "cartpole_swingup",
    "HalfCheetah-v5": "mujoco",
    "Ant-v5": "mujoco",
    "Hopper-v5": "mujoco",
    "Walker2d-v5": "mujoco",
}

# Names without version and namespace of environments like those above, for which nothing was tuned.
FAMILIES = {
    "pendulum": r"Pendulum",
    "lunar_lander": r"LunarLander(Continuous)?",
    "bipedal_walker": r"BipedalWalker(Hardcore)?",
    "mountain_car": r"MountainCarContinuous",
    "mujoco": r"HalfCheetah|Ant|Hopper|Walker2d|Humanoid(Standup)?|Swimmer|Reacher|Pusher|Inverted(Double)?Pendulum",
    "her": r"FetchReach(Dense)?",
    "goals": r"Fetch(Push|Slide|PickAndPlace)(Dense)?|Hand(Reach|Manipulate)\w*|(Point|Ant)Maze_\w+",
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: if there is none, with the nearest name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is unknown; {nearest(name, PRESETS)}")
    return PRESETS[name]


def preset_for(env: str) -> str:
    """Name of the preset for an environment id: the one tuned for it, that of its family, or "default"."""
    name = re.sub(r"-v\d+$", "", env.rpartition("/")[2])
    family = (preset for preset, names in FAMILIES.items() if re.fullmatch(names, name))
    return FOR_ENVIRONMENT.get(env) or next(family, "default")
