"""Rejax's TD3 on a compiled environment: the whole run is one program, as ours is. It has no DDPG.

Compared with our TD3 (two critics, the actor and all targets every second update), both with target noise.
What differs: its actor's loss takes both critics where ours takes the first; it draws a batch without replacement, at
a cost that grows with its capacity; and with N environments its targets move once for 2 N updates of the critics.
"""

from typing import Any

import jax
import jax.numpy as jnp
import rejax

from benchmarks.contenders import AGENT, CAPACITY, SLICE, Progress, round_up
from benchmarks.measure import Contender
from ddpg_jax.action_bounds import scale_action
from ddpg_jax.types import EnvSpec, Transition


def make_algorithm(env_id: str, num_envs: int, batch_size: int, size: int, stddev: float) -> Any:
    """Rejax's TD3 that trains for `size` environment steps, N updates after each step of the N environments.

    Args:
        env_id: gymnax's.
        num_envs: N.
        batch_size: rows of each update.
        size: a multiple of 2 N, since a training iteration is two steps of the N environments.
        stddev: of the exploration noise, in the environment's unit.
    """
    algorithm: Any = rejax.TD3.create(
        env=env_id,
        num_envs=num_envs,
        num_epochs=num_envs,
        total_timesteps=size,
        eval_freq=size,
        skip_initial_evaluation=True,
        buffer_size=CAPACITY,
        fill_buffer=0,
        batch_size=batch_size,
        learning_rate=AGENT.actor_lr,
        max_grad_norm=AGENT.max_grad_norm,
        polyak=1 - AGENT.tau,
        exploration_noise=stddev,
        actor_kwargs={"activation": "relu"},
        critic_kwargs={"activation": "relu"},
    )
    return algorithm.replace(
        env=with_five_values(algorithm.env),
        eval_callback=lambda *_: (),
        # `create` takes every setting of the networks but their width.
        actor=algorithm.actor.clone(hidden_layer_sizes=AGENT.hidden_sizes),
        critic=algorithm.critic.clone(hidden_layer_sizes=AGENT.hidden_sizes),
    )


def with_five_values(env: Any) -> Any:
    """The environment whose step returns five values, as gymnax's did when Rejax 0.1.3 was written."""
    kind: Any = type(env)

    class FiveValues(kind):
        def step(self, key: Any, state: Any, action: Any, params: Any = None) -> tuple:
            obs, state, reward, terminated, truncated, info = super().step(key, state, action, params)
            return obs, state, reward, terminated | truncated, info

    return FiveValues()


def start(algorithm: Any, spec: EnvSpec, rows: Transition) -> Any:
    """Rejax's state with a full memory; its capacity is cut to what the transitions fill."""
    state = algorithm.init_state(jax.random.key(0))
    buffer = state.replay_buffer
    columns = (rows.obs, scale_action(rows.action, spec), rows.reward, rows.terminated, rows.next_obs)
    filled = [
        jnp.asarray(column, old.dtype).reshape(-1, *old.shape[1:])
        for column, old in zip(columns, buffer.data, strict=True)
    ]
    buffer = buffer.replace(size=len(filled[0]), data=type(buffer.data)(*filled), full=jnp.bool_(True))
    # Steps beyond `fill_buffer` are those with updates. A copy, since its targets begin as the very same arrays.
    return jax.tree.map(jnp.copy, state.replace(replay_buffer=buffer, global_step=jnp.int32(1)))


def training(env_id: str, num_envs: int, batch_size: int, spec: EnvSpec, rows: Transition) -> Contender:
    """Training, slice by slice; the state is donated."""
    size = round_up(SLICE, 2 * num_envs)
    algorithm = make_algorithm(env_id, num_envs, batch_size, size, 0.1 * float(spec.action_high[0]))
    call = jax.jit(lambda state: algorithm.train(train_state=state)[0], donate_argnums=0)
    state = start(algorithm, spec, rows)

    def run() -> Progress:
        nonlocal state
        state = jax.block_until_ready(call(state))
        return Progress(int(state.global_step), int(state.critic_ts.step))

    return Contender(run, size)
