"""How target networks follow the learned ones.

The target y of the critics is `critic_target` in ddpg.py; the smallest of the critics is taken in heads.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.networks import PARAMS
from ddpg_jax.agent.optimizer import LeafOperations
from ddpg_jax.agent.state import AgentState, Params
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Array, Tree


class TargetUpdate(NamedTuple):
    """The step of the target networks, which comes with each update of the actor.

    Attributes:
        init: `init() -> copy_due`, as it is in a fresh `AgentState`.
        update: `update(AgentState, params) -> target_params`, where the actor's step led to `params`.
        copy_due: `copy_due(AgentState, is_finite) -> copy_due`, after an update of the actor, which was skipped where
            its gradient was not finite.
    """

    init: Callable[[], Tree]
    update: Callable[[AgentState, Params], Params]
    copy_due: Callable[[AgentState, Array], Tree]


def make_target_update(config: DDPGConfig, leaves: LeafOperations) -> TargetUpdate:
    """With each update of the actor theta' <- tau theta + (1 - tau) theta'; running statistics are copied.

    With a `target_period` N, on each N-th update of the actor, or, where that one was skipped, on the next that is not.

    Source: Lillicrap et al. (2015), algorithm 1; periodic copies: Mnih et al. (2015).
    """

    def move(state: AgentState, params: Params) -> Params:
        online, target = ([variables[PARAMS] for variables in side] for side in (params, state.target_params))
        updated = leaves.incremental_update(online, target, config.tau)
        return Params(*[{**variables, PARAMS: leaf} for variables, leaf in zip(params, updated, strict=True)])

    if config.target_period == 1:
        return TargetUpdate(lambda: (), move, lambda state, is_finite: ())

    def is_due(state: AgentState) -> Array:
        return state.copy_due | ((state.step // config.policy_delay + 1) % config.target_period == 0)

    def move_if_due(state: AgentState, params: Params) -> Params:
        return jax.lax.cond(is_due(state), lambda: move(state, params), lambda: state.target_params)

    return TargetUpdate(lambda: jnp.bool_(False), move_if_due, lambda state, is_finite: is_due(state) & ~is_finite)
