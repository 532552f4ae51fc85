"""What is timed: the compiled update and loop of `ddpg_jax`, and what every contender starts from.

Every contender learns from the same transitions in memories of the same size, with one update for each
environment step: N updates after each step of N environments. Gymnasium's environment checker is off for all.
"""

from collections.abc import Mapping
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Contender
from ddpg_jax import envs
from ddpg_jax.agent.state import AgentState, UpdateInfo
from ddpg_jax.config import Config, DDPGConfig, ReplayConfig, TrainConfig
from ddpg_jax.envs.protocol import Env
from ddpg_jax.packing import make_packing
from ddpg_jax.replay.buffer import ReplayState
from ddpg_jax.training.learner import make_learner
from ddpg_jax.training.trainer import make_trainer
from ddpg_jax.types import EnvSpec, Key, Transition, transition_struct

ENV = "Pendulum-v1"
AGENT = DDPGConfig(normalization="none", actor_lr=1e-3, critic_lr=1e-3, max_grad_norm=1.0)
CAPACITY, CHUNK, FOREVER = 100_000, 200, 2**30
SLICE = 50  # environment steps of one call, for the slower loops


class Progress(NamedTuple):
    """What a loop has done since it was made; its `Contender.run` returns it.

    Attributes:
        steps: environment steps, over all environments.
        updates: updates of the critic.
    """

    steps: int
    updates: int


def check_work(contenders: Mapping[str, Contender], learn: bool) -> dict[str, Progress]:
    """What one call of each loop really does.

    Args:
        contenders: by name; those that are no loop report no progress and are left out.
        learn: whether there must be one update for each environment step, or none.

    Raises:
        RuntimeError: naming the first whose steps or updates are not what its rate is computed from.
    """
    work = {}
    for name, contender in contenders.items():
        first, second = contender.run(), contender.run()  # the first may be shorter, up to the end of a phase
        if isinstance(first, Progress) and isinstance(second, Progress):
            work[name] = Progress(second.steps - first.steps, second.updates - first.updates)
            expected = Progress(contender.size, contender.size if learn else 0)
            if work[name] != expected:
                raise RuntimeError(f"one call of {name} does {work[name]}, must do {expected}")
    return work


def make_config(
    batch_size: int,
    num_envs: int = 1,
    start_steps: int = 1,
    update_after: int = 1,
    agent: DDPGConfig = AGENT,
    capacity: int = CAPACITY,
    log_every: int = CHUNK,
) -> Config:
    """The settings of every contender: one update for each environment step, a run without end."""
    return Config(
        agent=agent,
        replay=ReplayConfig(capacity=capacity, batch_size=batch_size),
        train=TrainConfig(
            num_envs=num_envs,
            total_steps=FOREVER,
            start_steps=start_steps,
            update_after=update_after,
            updates_per_step=num_envs,
            log_every=log_every,
        ),
    )


def compiled_env(env_id: str = ENV, num_envs: int = 1) -> Env | None:
    """N copies of gymnax's environment of that id, or None if there is none."""
    try:
        return envs.make(f"gymnax/{env_id}", num_envs)
    except envs.EnvError:
        return None


def fill_replay(env_id: str = ENV, num_envs: int = 1) -> ReplayState:
    """A full memory of real transitions, from random actions; from the compiled environment where there is one."""
    config = make_config(1, num_envs, FOREVER - 1, FOREVER - 2, log_every=CAPACITY)
    env = compiled_env(env_id, num_envs) or envs.make(env_id, num_envs)
    trainer, key = make_trainer(env, config), jax.random.key(0)
    memory = jax.block_until_ready(trainer.run(key, trainer.init(key))[0].replay)
    env.close()
    return memory


def read_transitions(spec: EnvSpec, memory: ReplayState) -> Transition:
    """All that a memory holds, as NumPy arrays `[CAPACITY // N * N, ...]`; the environments are neighbours."""
    rows: Transition = make_packing(transition_struct(spec)).unpack(memory.rows)
    return jax.tree.map(lambda leaf: np.array(leaf).reshape(-1, *leaf.shape[2:]), rows)


def bare_update(spec_env: Env, batch_size: int, memory: ReplayState) -> Contender:
    """Sampling and updating alone, compiled: what no training loop can exceed."""
    trainer = make_trainer(spec_env, make_config(batch_size, spec_env.num_envs))
    learner, key = make_learner(trainer.agent, trainer.replay), jax.random.key(0)

    def call(agent: AgentState, replay: ReplayState) -> AgentState:
        def step(agent: AgentState, keys: Key) -> tuple[AgentState, UpdateInfo]:
            agent, infos = learner.update(keys[1], agent, learner.draw(keys[0], replay, agent))
            return agent, learner.report(infos)

        return jax.lax.scan(step, agent, jax.random.split(jax.random.fold_in(key, agent.step), (CHUNK, 2)))[0]

    compiled = jax.jit(call, donate_argnums=0)
    state = [trainer.agent.init(key)]

    def run() -> None:
        state[0] = jax.block_until_ready(compiled(state[0], memory))

    return Contender(run, CHUNK)


def training(env: Env, config: Config, memory: ReplayState) -> Contender:
    """The training loop, chunk by chunk, as a user runs it."""
    trainer, key = make_trainer(env, config), jax.random.key(0)
    state = [trainer.init(key)._replace(replay=jax.tree.map(jnp.copy, memory))]

    def run() -> Progress:
        state[0], metrics = trainer.run(key, state[0])
        jax.block_until_ready((state[0], metrics))
        return Progress(int(state[0].step), int(state[0].agent.step))

    return Contender(run, round_up(config.train.log_every, env.num_envs))


def round_up(count: int, multiple: int) -> int:
    """The smallest multiple that is at least so many."""
    return -(-count // multiple) * multiple


def env_alone(env_id: str = ENV) -> Contender:
    """The environment's own step, with actions that are ready."""
    env = gymnasium.make(env_id, disable_env_checker=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    actions = [env.action_space.sample() for _ in range(CHUNK)]

    def run() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return Contender(run, CHUNK)
