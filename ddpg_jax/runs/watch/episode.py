"""An episode of the greedy policy, picture by picture."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.action_bounds import scale_action
from ddpg_jax.config import TrainConfig
from ddpg_jax.envs.gymnasium.host import episode_seed
from ddpg_jax.envs.gymnasium.interface import read_reset, read_step
from ddpg_jax.envs.gymnasium.observations import check_finite, make_read
from ddpg_jax.envs.gymnasium.spaces import make_cast
from ddpg_jax.envs.gymnasium.worker import describe_error
from ddpg_jax.runs.console.errors import BrokenEnvError, NumericalError
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.policy import Policy
from ddpg_jax.training.faults import ACTION_REMEDY
from ddpg_jax.types import Array, Tree

MODE = "rgb_array"


class Frame(NamedTuple):
    """One step of an episode, as it is shown.

    Attributes:
        image: the picture after it, uint8 `[H, W, 3]`.
        step: its number; 0 is the reset.
        value: return so far, undiscounted.
        ending: how the episode ended with it, "" where it goes on.
    """

    image: np.ndarray
    step: int
    value: float
    ending: str


def episode_seeds(seed: int, count: int, num_envs: int = TrainConfig.eval_envs) -> list[int]:
    """Seeds of the first episodes that `ddpg-jax evaluate --seed` plays in so many environments, in its order."""
    run_seed = int(jax.random.bits(jax.random.split(jax.random.key(seed))[0], dtype=jnp.uint32))
    return [episode_seed(run_seed, index % num_envs, index // num_envs) for index in range(count)]


def make_act(env: gymnasium.Env, policy: Policy) -> Callable[[Any], np.ndarray]:
    """Build `act(obs) -> action`, the greedy policy in the environment's own units and types.

    It raises ValueError for an observation that is not finite or does not fit, and NumericalError for such an action.
    """
    space: Any = env.action_space
    cast, read = make_cast(space), make_read(policy.spec.obs)
    structs, structure = jax.tree.flatten(policy.spec.obs)

    @jax.jit
    def greedy(params: Tree, obs: Tree) -> Array:
        batch = jax.tree.map(lambda leaf: leaf[None], obs)
        return scale_action(policy.agent.act(params, batch)[0], policy.spec).reshape(space.shape)

    def act(obs: Any) -> np.ndarray:
        leaves = read(obs)
        check_finite(leaves, policy.spec.obs)
        seen = [np.asarray(leaf, struct.dtype) for leaf, struct in zip(leaves, structs, strict=True)]
        action = cast(greedy(policy.params, jax.tree.unflatten(structure, seen)))
        if not np.isfinite(action).all():
            raise NumericalError(f"the policy's action is not finite: {action.tolist()}; {ACTION_REMEDY}")
        return action

    return act


def play(env: gymnasium.Env, policy: Callable[[Any], np.ndarray], seed: int, max_steps: int) -> Iterator[Frame]:
    """One episode, picture by picture; the last frame says how it ended.

    Args:
        env: from `open_env`.
        policy: `policy(obs) -> action`, both as the environment has them.
        seed: of the episode.
        max_steps: after which it is cut.

    Raises:
        BrokenEnvError: if the environment fails.
        NumericalError: if an action is not finite.
    """
    value = 0.0
    with env_failures(seed, 0):
        obs = read_reset(env.reset(seed=seed))
        image = render(env)
    yield Frame(image, 0, value, "")
    for step in itertools.count(1):
        with env_failures(seed, step):
            obs, reward, terminated, truncated = read_step(env.step(policy(obs)))
            value += reward
            if not math.isfinite(value):
                raise ValueError(f"the reward is not finite: {reward}")
            image = render(env)
        ending = "terminated" if terminated else "truncated" if truncated else ""
        if not ending and step == max_steps:
            ending = f"cut at --max-steps {max_steps}"
        yield Frame(image, step, value, ending)
        if ending:
            return


@contextlib.contextmanager
def env_failures(seed: int, step: int) -> Iterator[None]:
    """Raise BrokenEnvError for whatever an environment raises in a step, also for what asks to exit."""
    try:
        yield
    except (KeyboardInterrupt, NumericalError):
        raise
    except BaseException as error:
        where = f"in the episode of seed {seed}, step {step}"
        raise BrokenEnvError(f"the environment failed {where}: {describe_error(error)}") from error


def render(env: gymnasium.Env) -> np.ndarray:
    """The picture of an environment, uint8 `[H, W, 3]`.

    Raises:
        TypeError: if it is none.
    """
    image: Any = env.render()
    if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8):
        raise TypeError(
            f"render() gave no {MODE} picture of uint8 [H, W, 3], but {getattr(image, 'shape', type(image))}"
        )
    return image


def summary(last: Frame) -> str:
    """An episode in words, by its last frame so far."""
    return f"return {format_number(last.value)} after {last.step:,} steps" + (f", {last.ending}" if last.ending else "")
