"""The Gymnasium bridge: real environments, stepped from inside the compiled loop by a host callback.

To the loop it is an `Env` like any other. The environments live in a `Host`; an exception there is
kept and answered with `alive = False`, so that the learner's state always comes back whole.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.envs.host_call import host_call
from ddpg_jax.envs.protocol import Env, EnvError, Timestep, bounds_problem
from ddpg_jax.types import Array, EnvSpec, Key, float_dtype, scale_action


class Episodes(NamedTuple):
    """Which episode each environment is in; with it, an episode's seed is known.

    Attributes:
        run_seed: drawn from the key of `reset`, uint32 scalar.
        number: episodes begun before this one, int32 `[N]`.
    """

    run_seed: Any
    number: Any


def episode_seed(run_seed: int, env: int, episode: int) -> int:
    """Seed of one episode, the same whenever and wherever it is played.

    Args:
        run_seed: of the whole run.
        env: index of the environment.
        episode: number of the episode in that environment.

    Returns:
        An integer in [0, 2^31).
    """
    return int(np.random.SeedSequence((run_seed, env, episode)).generate_state(1)[0] >> 1)


def make(env_id: str, num_envs: int = 1, **options: Any) -> Env:
    """N environments of a registered Gymnasium id.

    Args:
        env_id: "Pendulum-v1" for one.
        num_envs: N.
        options: handed to `gymnasium.make`.

    Raises:
        EnvError: if there is no such id, a package is missing, or its spaces are not Boxes that DDPG can use.
    """
    return from_factory(lambda: make_one(env_id, **options), num_envs)


def make_one(env_id: str, **options: Any) -> gymnasium.Env:
    """One environment; Gymnasium's reasons for refusing it come as `EnvError`."""
    try:
        return gymnasium.make(env_id, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError) as error:
        raise EnvError(f"environment {env_id!r} cannot be made: {error}") from error


def from_factory(factory: Callable[[], gymnasium.Env], num_envs: int = 1) -> Env:
    """N environments made by a function of yours.

    Args:
        factory: returns a new environment at each call.
        num_envs: N.

    Raises:
        EnvError: if its spaces are not Boxes that DDPG can use.
    """
    host = Host(factory, num_envs)
    spec, action_space = host.spec, host.action_space
    action_shape = action_space.low.shape
    action_dtype = jax.dtypes.canonicalize_dtype(action_space.dtype)
    first_obs = jax.ShapeDtypeStruct((num_envs, *spec.obs.shape), spec.obs.dtype)
    observations = jax.ShapeDtypeStruct((2, num_envs, *spec.obs.shape), spec.obs.dtype)
    outcomes = jax.ShapeDtypeStruct((num_envs, 4), float_dtype())

    def reset(key: Key) -> tuple[Episodes, Array]:
        run_seed = jax.random.bits(key)
        return Episodes(run_seed, jnp.zeros(num_envs, jnp.int32)), host_call(host.reset, [first_obs], run_seed)[0]

    def step(key: Key, state: Episodes, action: Array) -> tuple[Episodes, Array, Timestep]:
        env_action = scale_action(action, spec).astype(action_dtype).reshape(num_envs, *action_shape)
        (next_obs, obs), rows = host_call(host.step, [observations, outcomes], state.run_seed, state.number, env_action)
        reward, terminated, truncated, alive = rows[:, 0], rows[:, 1] > 0, rows[:, 2] > 0, rows[:, 3] > 0
        timestep = Timestep(reward, terminated, truncated, next_obs, alive.all())
        return state._replace(number=state.number + (terminated | truncated)), obs, timestep

    return Env(spec, num_envs, reset, step, lambda: host.error, host.close)


def read_spec(env: gymnasium.Env) -> EnvSpec:
    """The spaces of a Gymnasium environment, checked.

    Raises:
        EnvError: naming the space and what to do.
    """
    name = env.spec.id if env.spec else type(env.unwrapped).__name__
    action_space, obs_space = env.action_space, env.observation_space
    if not isinstance(action_space, gymnasium.spaces.Box):
        raise EnvError(f"{name} has the action space {action_space}; DDPG needs a Box of real numbers")
    if not isinstance(obs_space, gymnasium.spaces.Box):
        raise EnvError(
            f"{name} has the observation space {type(obs_space).__name__}; DDPG needs a Box: wrap the environment "
            "in gymnasium.wrappers.FlattenObservation"
        )
    if not np.issubdtype(action_space.dtype, np.floating) or not action_space.shape == action_space.low.shape:
        raise EnvError(f"{name} has the action space {action_space}; DDPG needs a Box of real numbers")
    for kind, space in (("action", action_space), ("observation", obs_space)):
        if 0 in space.shape:
            raise EnvError(f"{name} has the {kind} space {space}, which holds no number; every dimension must be >= 1")
    low, high = action_space.low.astype(float).ravel(), action_space.high.astype(float).ravel()
    problem = bounds_problem(low, high)
    if problem:
        raise EnvError(f"{name}: {problem}")
    return EnvSpec(jax.ShapeDtypeStruct(obs_space.shape, jax.dtypes.canonicalize_dtype(obs_space.dtype)), low, high)


class Host:
    """Owns N environments and steps them, writing into the arrays that the compiled loop reads."""

    def __init__(self, factory: Callable[[], gymnasium.Env], num_envs: int):
        self.error: Exception | None = None
        self.envs = [factory()]
        self.spec = read_spec(self.envs[0])
        self.action_space: Any = self.envs[0].action_space
        self.envs += [factory() for _ in range(num_envs - 1)]

    def reset(self, outputs: Sequence[np.ndarray], run_seed: Any) -> None:
        """Start episode 0 in every environment.

        Args:
            outputs: to be written: first observations, `[N, O]`.
            run_seed: uint32 scalar.
        """
        (obs,) = outputs
        self.error = None
        episodes = Episodes(run_seed, np.zeros(len(self.envs), np.int32))
        for index in range(len(self.envs)):
            try:
                obs[index] = self.begin(index, episodes, 0)
            except Exception as error:
                self.fail(error, index, episodes, "its reset")
                return

    def step(self, outputs: Sequence[np.ndarray], run_seed: Any, number: Any, action: Any) -> None:
        """Step every environment, and start the next episode where one ended; never raises.

        Args:
            outputs: to be written: the true successors and what the next action is chosen on, `[2, N, O]`,
                and reward, terminated, truncated, alive, `[N, 4]`.
            run_seed: uint32 scalar.
            number: which episode each environment is in, int32 `[N]`.
            action: in the environment's unit, `[N, *action_space.shape]`.
        """
        (next_obs, obs), outcomes = outputs
        outcomes.fill(0)  # not alive, until all have stepped
        if self.error is not None:
            return
        # A copy: an environment may keep its action, and these bytes are XLA's.
        actions = np.array(np.asarray(action), self.action_space.dtype)
        for index, env in enumerate(self.envs):
            try:
                successor, reward, terminated, truncated, _ = env.step(actions[index])
                next_obs[index] = successor
                over = terminated or truncated
                obs[index] = self.begin(index, Episodes(run_seed, number), 1) if over else successor
            except Exception as error:
                self.fail(error, index, Episodes(run_seed, number), f"the action {actions[index].tolist()}")
                return
            # One by one: from a tuple NumPy would make an array first.
            outcome = outcomes[index]
            outcome[0], outcome[1], outcome[2], outcome[3] = reward, terminated, truncated, 1

    def begin(self, index: int, episodes: Episodes, ahead: int) -> Any:
        """First observation of an environment's episode, this one or the next (`ahead` = 0 or 1)."""
        return self.envs[index].reset(seed=self.seed(index, episodes, ahead))[0]

    def seed(self, index: int, episodes: Episodes, ahead: int = 0) -> int:
        """Seed of an environment's episode."""
        return episode_seed(int(np.asarray(episodes.run_seed)), index, int(np.asarray(episodes.number)[index]) + ahead)

    def fail(self, cause: Exception, index: int, episodes: Episodes, during: str) -> None:
        """Keep an environment's exception; raised here, it would cost the learner its state."""
        episode = int(np.asarray(episodes.number)[index])
        self.error = EnvError(
            f"environment {index} failed in episode {episode} (seed {self.seed(index, episodes)}) on {during}: "
            f"{type(cause).__name__}: {cause}"
        )
        self.error.__cause__ = cause

    def close(self) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()
