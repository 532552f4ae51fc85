"""envpool's environments as an `Env`: `envpool/HalfCheetah-v4`, all N stepped in C++ by one call of the host.

envpool begins the next episode in the step after an end. Here those whose episode ended are reset by themselves, within
the step that ended it, so that no step of another is lost. Seeds are fixed when a pool is made, and where its random
numbers stand it does not say: a pool that is restored is a new one, which begins new episodes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import envpool
import jax
import numpy as np

from ddpg_jax.envs.gymnasium.bridge import env_of_host
from ddpg_jax.envs.gymnasium.host import Episodes, episode_seed
from ddpg_jax.envs.gymnasium.observations import check_finite
from ddpg_jax.envs.gymnasium.spaces import make_cast, spec_of_spaces
from ddpg_jax.envs.gymnasium.worker import describe_error
from ddpg_jax.envs.protocol import Env, EnvError, Restored, check_num_envs, episode_limit
from ddpg_jax.types import EnvSpec

# Options that training sets itself.
OURS = frozenset({"num_envs", "seed", "batch_size"})
NO_GOALS = "envpool gives no reward of other goals"
# One pool of environments with these seeds.
MakePool = Callable[[list[int]], Any]


def make(
    name: str,
    num_envs: int = 1,
    max_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
) -> Env:
    """N environments of envpool, in one pool.

    Args:
        name: envpool's own, "HalfCheetah-v4" for one.
        num_envs: N.
        max_steps: after which an episode is truncated, if its own limit is not below.
        env_kwargs: envpool's options in place of its default ones.
        max_episode_steps: its limit, in place of its own.

    Raises:
        EnvError: if there is no such environment, it has no such option, or DDPG cannot use its spaces.
    """
    check_num_envs(num_envs)
    own = read_options(name, env_kwargs)
    obs_space, action_space = own.observation_space, own.action_space
    spec = spec_of_spaces(name, obs_space, action_space)
    limit = episode_limit(own.config.max_episode_steps, max_episode_steps, max_steps)
    options = {**(env_kwargs or {}), "max_episode_steps": limit}

    def make_pool(seeds: list[int]) -> Any:
        return envpool.make_gymnasium(name, num_envs=len(seeds), seed=seeds, **options)

    # Of a pool there is no other: evaluations have one of their own.
    return env_of_host(Pool(make_pool, num_envs, spec, action_space), spec, NO_GOALS)._replace(share=None)


def names() -> Collection[str]:
    """The ids that envpool knows."""
    return envpool.list_all_envs()


def spaces(name: str, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """The observation space and the action space of an environment."""
    own = read_options(name, env_kwargs)
    return own.observation_space, own.action_space


def read_options(name: str, env_kwargs: Mapping[str, Any] | None = None) -> Any:
    """What envpool knows of an environment before it is made, with these options.

    Raises:
        EnvError: if there is none of that name, or it has no such option.
    """
    if name not in names():
        raise EnvError(f"envpool has no environment {name!r}; envpool.list_all_envs() gives those that it has")
    if set(env_kwargs or {}) & OURS:
        raise EnvError(f"env_kwargs of envpool/{name} must leave out {', '.join(sorted(OURS))}: training sets these")
    try:
        return envpool.make_spec(name, **env_kwargs or {})
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        raise EnvError(
            f"envpool/{name} cannot be made with env_kwargs = {dict(env_kwargs or {})}: {describe_error(error)}"
        ) from error


class Pool:
    """Owns a pool and steps it, as `Host` does with environments of Gymnasium's.

    Attributes:
        num_envs: N.
        action_space: of one environment.
        error: what stopped the environments, until a reset or `restore`.
    """

    def __init__(self, make_pool: MakePool, num_envs: int, spec: EnvSpec, action_space: Any):
        self.make_pool, self.num_envs, self.action_space = make_pool, num_envs, action_space
        self.obs, self.cast = spec.obs, make_cast(action_space)
        self.num_leaves = len(jax.tree.leaves(spec.obs))
        self.pool: Any = None
        self.error: EnvError | None = None

    def reset(self, outputs: Sequence[np.ndarray], run_seed: Any) -> None:
        """Start episode 0 in every environment of a new pool; see `Host.reset`."""
        outputs[-1].fill(0)
        self.error = None
        try:
            self.renew(outputs, run_seed, outputs[-1])
        except BaseException as error:  # whatever is raised from here ends the program
            self.fail(error, "on its reset")

    def renew(self, leaves: Sequence[np.ndarray], run_seed: Any, number: np.ndarray) -> None:
        """Make the pool anew and write its first observations.

        Args:
            leaves: of the observations, `[N, O]`.
            run_seed: uint32 scalar.
            number: which episode each environment is in, `[N]`.
        """
        self.close()
        seeds = [episode_seed(int(np.asarray(run_seed)), index, int(number[index])) for index in range(self.num_envs)]
        self.pool = self.make_pool(seeds)
        self.begin(leaves, np.arange(self.num_envs, dtype=np.int32))

    def begin(self, leaves: Sequence[np.ndarray], which: np.ndarray) -> None:
        """Begin an episode in some environments and write its first observation."""
        obs, info = self.pool.reset(which)
        write(leaves, info["env_id"], obs)
        check_finite([leaf[which] for leaf in leaves[: self.num_leaves]], self.obs)

    def step(self, outputs: Sequence[np.ndarray], run_seed: Any, number: Any, action: Any) -> None:
        """Step every environment, and start the next episode where one ended; see `Host.step`."""
        if self.error is None:
            try:
                self.step_all(outputs, self.cast(action))
            except BaseException as error:  # whatever is raised from here ends the program
                self.fail(error, f"on the actions {np.asarray(action).tolist()}")
        outputs[-1][()] = self.error is None

    def step_all(self, outputs: Sequence[np.ndarray], actions: np.ndarray) -> None:
        """Step every environment, each with an action of its own, `[N, A]`."""
        if not np.isfinite(actions).all():
            raise ValueError("an action is not finite; none was stepped")
        obs, *outcomes, info = self.pool.step(actions)
        write(outputs, info["env_id"], obs)
        for array, outcome in zip(outputs[-4:-1], outcomes, strict=True):
            array[info["env_id"]] = outcome
        ended = np.flatnonzero(outputs[-3] | outputs[-2]).astype(np.int32)
        if len(ended):
            self.begin(outputs[self.num_leaves :], ended)

    def fail(self, cause: BaseException, where: str) -> EnvError:
        """Keep an exception; raised from a step, it would cost the learner its state."""
        self.error = EnvError(f"envpool failed {where}: {describe_error(cause)}")
        self.error.__cause__ = cause
        return self.error

    def describe(self, index: int) -> str:
        """Where an environment is: envpool does not say."""
        return "in a pool of envpool's"

    def save(self, episode_length: np.ndarray) -> bytes:
        """Nothing: a pool cannot be saved; see `Env.save`."""
        return b""

    def restore(
        self, state: Episodes, obs: Any, episode_length: np.ndarray, saved: bytes, renew: Sequence[int] = ()
    ) -> Restored:
        """Begin a new episode in every environment of a new pool; see `Env.restore`.

        Raises:
            EnvError: if it cannot be begun.
        """
        number, leaves = np.array(state.number) + 1, [np.array(leaf) for leaf in jax.tree.leaves(obs)]
        self.error = None
        try:
            self.renew(leaves, state.run_seed, number)
        except Exception as error:
            raise self.fail(error, "on its reset") from error
        obs = jax.tree.unflatten(jax.tree.structure(obs), leaves)
        reason = "envpool does not say where its episodes stand, so new ones begin"
        return Restored(Episodes(state.run_seed, number), obs, np.zeros(self.num_envs, bool), reason)

    def close(self) -> None:
        """Close the pool."""
        if self.pool is not None:
            self.pool.close()
            self.pool = None


def write(arrays: Sequence[np.ndarray], rows: np.ndarray, obs: Any) -> None:
    """Write observations to the rows of the first arrays, leaf by leaf."""
    for array, leaf in zip(arrays, jax.tree.leaves(obs), strict=False):
        array[rows] = leaf
