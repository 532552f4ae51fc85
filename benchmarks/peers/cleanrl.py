"""The structure of CleanRL's DDPG in JAX, written anew: a Python loop with two jitted updates a step.

As there: networks in flax, a `TrainState` with target parameters for each, a jitted actor, exploration noise and memory
in NumPy, a `SyncVectorEnv` of one environment that keeps the episodes' returns, nothing donated. Unlike there, the
actor is updated at every step (CleanRL's default: every second one), nothing is logged, actions are in [-1, 1].
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState

from benchmarks.baseline import NumpyReplay
from benchmarks.contenders import AGENT, SLICE, Progress
from benchmarks.measure import Contender
from benchmarks.peers.pytorch import numpy_replay
from ddpg_jax.replay.buffer import ReplayState
from ddpg_jax.types import Array, EnvSpec


class Actor(nn.Module):
    """Greedy actions in [-1, 1], `[B, O] -> [B, A]`."""

    action_dim: int

    @nn.compact
    def __call__(self, obs: Array) -> Array:
        """Apply it."""
        for size in AGENT.hidden_sizes:
            obs = nn.relu(nn.Dense(size)(obs))
        return nn.tanh(nn.Dense(self.action_dim)(obs))


class Critic(nn.Module):
    """Values, `[B, O], [B, A] -> [B]`."""

    @nn.compact
    def __call__(self, obs: Array, action: Array) -> Array:
        """Apply it."""
        hidden = jnp.concatenate([obs, action], axis=-1)
        for size in AGENT.hidden_sizes:
            hidden = nn.relu(nn.Dense(size)(hidden))
        return nn.Dense(1)(hidden).squeeze(-1)


class TargetState(TrainState):
    """A network's training state, and its target's parameters."""

    target_params: Any


@jax.jit
def update_critic(actor: TargetState, critic: TargetState, batch: tuple) -> tuple[TargetState, Array]:
    """One step of the critic on `(obs, action, reward, discount, next_obs)`; the new state and the loss."""
    obs, action, reward, discount, next_obs = batch
    next_action = actor.apply_fn(actor.target_params, next_obs)
    target = reward + discount * critic.apply_fn(critic.target_params, next_obs, next_action)

    def loss(params: Any) -> Array:
        return jnp.square(critic.apply_fn(params, obs, action) - target).mean()

    value, grads = jax.value_and_grad(loss)(critic.params)
    return critic.apply_gradients(grads=grads), value


@jax.jit
def update_actor(actor: TargetState, critic: TargetState, obs: Array) -> tuple[TargetState, TargetState, Array]:
    """One step of the actor on the new critic, and of both targets; the new states and the loss."""

    def loss(params: Any) -> Array:
        return -critic.apply_fn(critic.params, obs, actor.apply_fn(params, obs)).mean()

    value, grads = jax.value_and_grad(loss)(actor.params)
    actor = actor.apply_gradients(grads=grads)
    follow = partial(optax.incremental_update, step_size=AGENT.tau)
    actor = actor.replace(target_params=follow(actor.params, actor.target_params))
    return actor, critic.replace(target_params=follow(critic.params, critic.target_params)), value


def init_states(spec: EnvSpec) -> tuple[TargetState, TargetState]:
    """The states of actor and critic."""
    actor_key, critic_key = jax.random.split(jax.random.key(0))
    obs, action = jnp.zeros((1, *spec.obs.shape)), jnp.zeros((1, spec.action_dim))

    def init(network: nn.Module, key: Array, learning_rate: float, *inputs: Array) -> TargetState:
        params = network.init(key, *inputs)
        return TargetState.create(
            apply_fn=network.apply, params=params, target_params=params, tx=optax.adam(learning_rate)
        )

    actor = init(Actor(spec.action_dim), actor_key, AGENT.actor_lr, obs)
    return actor, init(Critic(), critic_key, AGENT.critic_lr, obs, action)


def make_envs(env_id: str) -> gymnasium.vector.VectorEnv:
    """A vector of one environment."""

    def make_one() -> gymnasium.Env:
        return gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make(env_id, disable_env_checker=True))

    return gymnasium.vector.SyncVectorEnv([make_one], autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)


def make_step(
    env_id: str, spec: EnvSpec, buffer: NumpyReplay, batch_size: int
) -> Callable[[TargetState, TargetState], tuple[TargetState, TargetState]]:
    """Build one step of the loop: act, step the environment, store, sample, two updates."""
    worlds, rng, act = make_envs(env_id), np.random.default_rng(0), jax.jit(Actor(spec.action_dim).apply)
    scale, bias = (spec.action_high - spec.action_low) / 2, (spec.action_high + spec.action_low) / 2
    obs, _ = worlds.reset(seed=0)

    def step(actor: TargetState, critic: TargetState) -> tuple[TargetState, TargetState]:
        nonlocal obs
        greedy = np.asarray(act(actor.params, obs))
        action = (greedy + rng.normal(0, 0.1, greedy.shape)).clip(-1, 1).astype(np.float32)
        next_obs, reward, terminated, truncated, info = worlds.step((bias + scale * action).astype(np.float32))
        # Where an episode ended, the successor is its last observation, not the next one's first.
        successor = info["final_obs"][0] if terminated[0] or truncated[0] else next_obs[0]
        buffer.add(obs[0], action[0], reward[0], terminated[0], successor)
        obs = next_obs
        rows = buffer.sample(batch_size)
        batch = tuple(map(np.asarray, (rows.obs, rows.action, rows.reward, rows.discount, rows.next_obs)))
        critic, _ = update_critic(actor, critic, batch)
        actor, critic, _ = update_actor(actor, critic, batch[0])
        return actor, critic

    return step


def training(env_id: str, batch_size: int, spec: EnvSpec, memory: ReplayState) -> Contender:
    """Training of one environment, slice by slice."""
    step = make_step(env_id, spec, numpy_replay(spec, memory), batch_size)
    (actor, critic), steps = init_states(spec), 0

    def run() -> Progress:
        nonlocal actor, critic, steps
        for _ in range(SLICE):
            actor, critic = step(actor, critic)
        jax.block_until_ready((actor, critic))
        steps += SLICE
        return Progress(steps, int(critic.step))

    return Contender(run, SLICE)
