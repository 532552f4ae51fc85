"""A training run as functions: how it starts, and how it goes on."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.exploration import Exploration, make_exploration
from ddpg_jax.agent.networks import Networks
from ddpg_jax.agent.state import Agent
from ddpg_jax.config import Config, ConfigError, validate
from ddpg_jax.envs.protocol import Env, check_env
from ddpg_jax.replay.buffer import Replay, make_replay
from ddpg_jax.training.faults import find_first_fault
from ddpg_jax.training.phases import make_phases
from ddpg_jax.training.prefill import make_prefill
from ddpg_jax.training.runner import Metrics, Runner
from ddpg_jax.types import Key, Transition, Tree, float_dtype


class Trainer(NamedTuple):
    """A training run as functions.

    Attributes:
        init: `init(key) -> Runner`.
        run: `run(key, Runner, num_steps) -> (Runner, Metrics)`: up to `num_steps` further environment
            steps, at most those of one compiled chunk (`log_every`, 10,000) and to the end of a phase
            (`start_steps`, `update_after`); the given runner is donated and must not be used again.
            The same `key` at every call gives every step randomness of its own.
        prefill: `prefill(Runner, Transition [T, ...]) -> Runner`, demonstrations (`make_demonstrations`) stored in
            the replay memory; the given runner is donated.
        agent: the agent that is trained.
        replay: the memory it learns from.
    """

    init: Callable[[Key], Runner]
    run: Callable[..., tuple[Runner, Metrics]]
    prefill: Callable[[Runner, Transition], Runner]
    agent: Agent
    replay: Replay


def make_trainer(env: Env, config: Config = Config(), networks: Networks | None = None) -> Trainer:  # noqa: B008
    """Build a training run on an environment.

    Args:
        env: where it acts; `config.env` and `config.train.num_envs` are not read, the environment has its own.
        config: the settings.
        networks: an actor and one critic to use instead of the MLPs that `config.agent` describes.

    Raises:
        ConfigError: naming every setting that cannot be used.
        EnvError: if `env` is none.
    """
    check_env(env)
    validate(replace(config, train=replace(config.train, num_envs=env.num_envs)))
    check_goals(env, config)
    agent = ddpg(env.spec, config.agent, networks, env.num_envs, config.replay.discount)
    replay = make_replay(env.spec, config.replay, env.num_envs)
    exploration = make_exploration(agent.act, env.spec.action_dim, config.exploration)
    phases = make_phases(env, agent, replay, exploration, config.train)

    def run(key: Key, runner: Runner, num_steps: int = config.train.log_every) -> tuple[Runner, Metrics]:
        step = int(runner.step)
        phase = next((phase for phase in phases if step < phase.end), phases[-1])
        return phase.run(key, runner, num_steps)

    prefill = make_prefill(agent, replay, env.num_envs, config.replay)
    return Trainer(make_init(env, agent, replay, exploration), run, prefill, agent, replay)


def check_goals(env: Env, config: Config) -> None:
    """Raise ConfigError if hindsight is asked for where nobody knows the reward of other goals."""
    if config.replay.hindsight != "none" and env.spec.goal_reward is None:
        raise ConfigError(
            f"replay.hindsight = {config.replay.hindsight!r} needs the reward of other goals, and {env.goal_problem}; "
            "choose 'none', or make the environment with a goal_reward of yours"
        )


def make_init(env: Env, agent: Agent, replay: Replay, exploration: Exploration) -> Callable[[Key], Runner]:
    """Build `init(key) -> Runner`: environments reset, fresh networks, an empty memory."""

    @jax.jit
    def reset(key: Key) -> tuple[Tree, Tree]:
        _, _, env_key = jax.random.split(key, 3)
        return env.reset(env_key)

    @jax.jit
    def begin(key: Key, env_state: Tree, obs: Tree) -> Runner:
        agent_key, exploration_key, _ = jax.random.split(key, 3)
        agent_state = agent.init(agent_key)
        return Runner(
            step=jnp.int32(0),
            fault=find_first_fault(obs),
            agent=agent_state,
            replay=replay.init(),
            exploration=exploration.init(exploration_key, agent_state.params.actor, env.num_envs),
            env=env_state,
            obs=obs,
            first=jnp.ones(env.num_envs, jnp.bool_),
            episode_return=jnp.zeros(env.num_envs, float_dtype()),
            episode_length=jnp.zeros(env.num_envs, jnp.int32),
        )

    # Two programs: outside of CPU, JAX's cache keeps none that calls Gymnasium, as a reset may.
    return lambda key: begin(key, *reset(key))
