"""Stable-Baselines3's DDPG (PyTorch) and SBX's (JAX), which share their loop, memory and interface."""

import importlib
from typing import Any

import numpy as np

from benchmarks.baseline import find_device
from benchmarks.contenders import AGENT, CAPACITY, SLICE, Progress, round_up
from benchmarks.measure import Contender
from ddpg_jax.types import Transition

# SBX keeps a learning rate of its own for the critic; Stable-Baselines3 has one for both.
OPTIONS: dict[str, dict[str, Any]] = {"stable_baselines3": {}, "sbx": {"qf_learning_rate": AGENT.critic_lr}}


def make_model(library: str, env_id: str, num_envs: int, batch_size: int, gradient_steps: int) -> Any:
    """A DDPG of one of the two libraries, as its documentation sets it up for N environments.

    Args:
        library: "stable_baselines3" or "sbx".
        env_id: Gymnasium's.
        num_envs: N, stepped one after the other in `DummyVecEnv`.
        batch_size: rows of each update.
        gradient_steps: updates after each step of the N environments.
    """
    make_vec_env = importlib.import_module("stable_baselines3.common.env_util").make_vec_env
    noise = importlib.import_module("stable_baselines3.common.noise").NormalActionNoise
    env = make_vec_env(env_id, num_envs, seed=0, env_kwargs={"disable_env_checker": True})
    shape = env.action_space.shape
    return importlib.import_module(library).DDPG(
        "MlpPolicy",
        env,
        learning_rate=AGENT.actor_lr,
        buffer_size=CAPACITY,
        learning_starts=0,
        batch_size=batch_size,
        tau=AGENT.tau,
        gamma=0.99,
        train_freq=(1, "step"),
        gradient_steps=gradient_steps,
        action_noise=noise(np.zeros(shape), np.full(shape, 0.1)),
        policy_kwargs={"net_arch": list(AGENT.hidden_sizes)},
        seed=0,
        device=find_device(),
        **OPTIONS[library],
    )


def fill(buffer: Any, rows: Transition) -> None:
    """Overwrite the whole of a library's `ReplayBuffer`, `[capacity / N, N, ...]`."""
    columns = {
        "observations": rows.obs,
        "next_observations": rows.next_obs,
        "actions": rows.action,
        "rewards": rows.reward,
        "dones": rows.terminated | rows.truncated,
        "timeouts": rows.truncated,
    }
    for name, column in columns.items():
        stored = getattr(buffer, name)
        stored[:] = np.asarray(column).reshape(stored.shape)
    buffer.full = True


def loop(
    library: str, env_id: str, num_envs: int, batch_size: int, rows: Transition, learn: bool, size: int = SLICE
) -> Contender:
    """Training, or only collecting, by calls of `learn`, whose own set-up takes about 0.2 ms.

    Args:
        library: "stable_baselines3" or "sbx".
        env_id: Gymnasium's.
        num_envs: N.
        batch_size: rows of each update.
        rows: what the memory is filled with.
        learn: N updates after each step of the N environments, or none while the same policy acts.
        size: environment steps of a slice, rounded up to whole steps of the N environments.
    """
    model = make_model(library, env_id, num_envs, batch_size, num_envs if learn else 0)
    fill(model.replay_buffer, rows)
    size = round_up(size, num_envs)

    def run() -> Progress:
        model.learn(total_timesteps=size, reset_num_timesteps=False, log_interval=None)
        return Progress(model.num_timesteps, model._n_updates)

    return Contender(run, size)
