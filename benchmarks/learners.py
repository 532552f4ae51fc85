"""Methods at work behind two functions, whatever package they come from, and the episodes all are judged by.

Each package is imported only by the one that uses it: `benchmarks.solve` measures how long its start takes.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np

ENV = "Pendulum-v1"
Act = Callable[[np.ndarray], np.ndarray]


class Learner(NamedTuple):
    """A method at work.

    Attributes:
        advance: `advance(num_steps)` trains that many environment steps further, and returns when done.
        act: greedy actions in the environment's unit, `[N, O] -> [N, A]`.
    """

    advance: Callable[[int], None]
    act: Act


def make_env() -> gymnasium.Env:
    """One environment, without the checker, for everyone."""
    return gymnasium.make(ENV, disable_env_checker=True)


def make_play(episodes: int) -> Callable[[Act, int], np.ndarray]:
    """Build `play(act, seed) -> returns [episodes]`: the same episodes for every method, stepped together."""
    env: Any = gymnasium.vector.SyncVectorEnv([make_env] * episodes)

    def play(act: Act, seed: int) -> np.ndarray:
        obs, over, returns = env.reset(seed=seed)[0], np.zeros(episodes, bool), np.zeros(episodes)
        while not over.all():
            obs, reward, terminated, truncated, _ = env.step(act(obs))
            returns += np.where(over, 0, reward)
            over |= terminated | truncated
        return returns

    return play


def ours(config: Any) -> Learner:
    """`ddpg_jax` under a `Config`, the same run as `ddpg-jax train`'s."""
    import jax

    from ddpg_jax import envs
    from ddpg_jax.action_bounds import scale_action
    from ddpg_jax.training.trainer import make_trainer

    env = envs.make(config.env, config.train.num_envs)
    trainer = make_trainer(env, config)
    init_key, run_key, _ = jax.random.split(jax.random.key(config.seed), 3)
    greedy = jax.jit(lambda params, obs: scale_action(trainer.agent.act(params, obs), env.spec))
    runner = trainer.init(init_key)

    def advance(num_steps: int) -> None:
        nonlocal runner
        end = int(runner.step) + num_steps
        while (left := end - int(runner.step)) > 0:
            runner, _ = trainer.run(run_key, runner, min(left, config.train.log_every))

    def act(obs: np.ndarray) -> np.ndarray:
        return np.asarray(greedy(runner.agent.params.actor, obs))

    return Learner(advance, act)


def preset(seed: int, name: str) -> Learner:
    """`ddpg_jax` under a preset."""
    from ddpg_jax.presets import find_preset

    return ours(dataclasses.replace(find_preset(name).config, seed=seed))


def pytorch(config: Any) -> Learner:
    """The eager PyTorch baseline under the same `Config` (without options that it does not have)."""
    import torch

    from benchmarks.baseline import NumpyReplay, TorchDDPG, train_steps

    torch.manual_seed(config.seed)
    env, train = make_env(), config.train
    space: Any = env.action_space
    agent = TorchDDPG(env.observation_space.shape[0], space.shape[0], config.agent)  # type: ignore[index]
    buffer = NumpyReplay(config.replay.capacity, 3, 1, config.replay.discount, seed=config.seed)
    step, obs = 0, env.reset(seed=config.seed)[0]
    if train.start_steps != train.update_after:
        raise ValueError(f"start_steps = {train.start_steps} and update_after = {train.update_after} must be equal")

    def explore() -> None:
        nonlocal obs
        action = buffer.rng.uniform(-1, 1, space.shape).astype(np.float32)
        next_obs, reward, terminated, truncated, _ = env.step(action * space.high)
        buffer.add(obs, action, float(reward), terminated, next_obs)
        obs = env.reset()[0] if terminated or truncated else next_obs

    def advance(num_steps: int) -> None:
        nonlocal step, obs
        random_steps = min(num_steps, max(0, train.start_steps - step))
        for _ in range(random_steps):
            explore()
        obs = train_steps(
            env, agent, buffer, num_steps - random_steps, obs, config.replay.batch_size, config.exploration.stddev
        )
        step += num_steps

    def act(obs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return agent.actor(torch.as_tensor(obs)).numpy() * space.high

    return Learner(advance, act)


def peer(
    seed: int, package: str, algorithm: str, n_envs: int = 1, noise: float | None = None, **options: Any
) -> Learner:
    """A model of Stable-Baselines3 or SBX; `learn` goes on where it stopped.

    Args:
        seed: of model and environments.
        package: "stable_baselines3" or "sbx".
        algorithm: name of the model's class.
        n_envs: environments.
        noise: standard deviation of Gaussian noise while collecting, or None.
        options: of the model.
    """
    models = importlib.import_module(package)
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.noise import NormalActionNoise

    env = make_vec_env(make_env, n_envs, seed=seed)
    if noise is not None:
        options["action_noise"] = NormalActionNoise(np.zeros(1), noise * np.ones(1))
    model = getattr(models, algorithm)("MlpPolicy", env, seed=seed, **options)

    def advance(num_steps: int) -> None:
        model.learn(num_steps, reset_num_timesteps=False)

    return Learner(advance, lambda obs: model.predict(obs, deterministic=True)[0])
