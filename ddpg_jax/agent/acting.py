"""What an exploration is: a policy with a state, which others can be built around.

The policy itself, `greedy`, is the one that keeps no state; parameter noise, additive noise and smoothing
each take an exploration, or a plain policy, and are one again.
"""

from collections.abc import Callable
from typing import NamedTuple

from ddpg_jax.types import Array, Key, Tree

Act = Callable[[Tree, Tree], Array]


class Exploration(NamedTuple):
    """A way to explore.

    Attributes:
        init: `init(key, actor_params, num_envs) -> state`.
        act: `act(key, state, actor_params, obs [N, O], first [N]) -> (action [N, A], state)`, where
            `first` marks the environments in which an episode starts. The first call may come in the middle
            of episodes, after random steps that left the state as it was.
    """

    init: Callable[[Key, Tree, int], Tree]
    act: Callable[[Key, Tree, Tree, Tree, Array], tuple[Array, Tree]]


def no_state(key: Key, params: Tree, num_envs: int) -> tuple[()]:
    """The state of an exploration that keeps none."""
    return ()


def greedy(policy: Act) -> Exploration:
    """The policy itself: a = mu(s).

    Args:
        policy: `policy(actor_params, obs) -> action`.
    """

    def act(key: Key, state: Tree, params: Tree, obs: Tree, first: Array) -> tuple[Array, Tree]:
        return policy(params, obs), state

    return Exploration(no_state, act)


def as_exploration(policy: Act | Exploration) -> Exploration:
    """A plain policy as the exploration that follows it; an exploration as it is."""
    return policy if isinstance(policy, Exploration) else greedy(policy)
