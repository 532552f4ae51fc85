"""A step of environments that the program itself steps, with an update beside it."""

from collections.abc import Callable

from ddpg_jax.callbacks.tokens import NUMBERS_OF_ROWS, token_of, wait_for
from ddpg_jax.types import Array, Key, Tree

Work = Callable[..., tuple[Tree, Array]]


def in_program_order(step: Callable[..., tuple]) -> Callable[..., tuple]:
    """Build `step_beside(key, state, action, work)` of a `step` in the program, where XLA may choose the order.

    Only the action must be there before the work begins: parameters that may still be asked for one while they are
    updated are copied by XLA at each step.
    """

    def step_beside(key: Key, state: Tree, action: Array, work: Work) -> tuple:
        result, _ = work(lambda tree: wait_for(token_of(action), tree, NUMBERS_OF_ROWS))
        return result, step(key, state, action)

    return step_beside
