"""A step of the environments with work beside it: side by side where the host steps them, else one after the other."""

from collections.abc import Callable

from ddpg_jax.callbacks.tokens import NUMBERS_OF_ROWS, token_of, wait_for
from ddpg_jax.envs.protocol import Env
from ddpg_jax.types import Array, Key, Tree


def make_step_beside(env: Env) -> Callable[..., tuple]:
    """`Env.step_beside`, or the same of environments that have none."""
    return env.step_beside or in_program_order(env.step)


def in_program_order(step: Callable[..., tuple]) -> Callable[..., tuple]:
    """`Env.step_beside` of environments that are stepped in the program, where XLA may choose the order.

    Only the action must be there before the work begins: parameters that may still be asked for one while they are
    updated are copied by XLA at each step.
    """

    def step_beside(key: Key, state: Tree, action: Array, work: Callable[..., tuple[Tree, Array]]) -> tuple:
        return work(lambda tree: wait_for(token_of(action), tree, NUMBERS_OF_ROWS))[0], step(key, state, action)

    return step_beside
