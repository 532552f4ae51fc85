"""What an agent is, what it carries from update to update, and what an update reports."""

from collections.abc import Callable
from typing import NamedTuple

from ddpg_jax.types import Array, Batch, Key, Transition, Tree


class Params(NamedTuple):
    """Variables of the two networks, or of their optimisers: one tree for the actor, one for all critics.

    Attributes:
        actor: learned parameters under "params", running statistics under other names.
        critic: the same of the K critics, each leaf of "params" stacked, `[K, ...]`.
    """

    actor: Tree
    critic: Tree


class Skipped(NamedTuple):
    """Updates that were not made, since a gradient was not finite.

    Attributes:
        in_a_row: since the last update in which actor and critic both learned, int32 scalar.
        total: since the start, int32 scalar.
    """

    in_a_row: Array
    total: Array


class AgentState(NamedTuple):
    """Everything that an update changes.

    Attributes:
        params: what is learned.
        target_params: the target networks'.
        opt_state: the optimisers' states.
        step: updates so far, also those that were skipped, int32 scalar.
        skipped: how many were.
        copy_due: whether targets, with `target_period` above 1, missed their turn in an update that was skipped, bool
            scalar; () where each update moves them.
    """

    params: Params
    target_params: Params
    opt_state: Params
    step: Array
    skipped: Skipped
    copy_due: Tree = ()


class UpdateInfo(NamedTuple):
    """What an update reports; the actor's figures are nan where it was not its turn (policy_delay).

    Attributes:
        critic_loss: scalar.
        actor_loss: scalar.
        q: mean of the first critic over the batch, scalar.
        target: mean TD target, scalar.
        td_error: |Q - y| of the first critic, `[B]`.
        critic_grad_norm: global norm before clipping, scalar.
        actor_grad_norm: global norm before clipping, scalar.
        saturation: fraction of the actor's outputs beyond 0.99, scalar.
    """

    critic_loss: Array
    actor_loss: Array
    q: Array
    target: Array
    td_error: Array
    critic_grad_norm: Array
    actor_grad_norm: Array
    saturation: Array


class Agent(NamedTuple):
    """DDPG as six pure functions.

    Attributes:
        init: `init(key) -> AgentState`.
        act: `act(actor_variables, obs [B, O]) -> action [B, A]` in [-1, 1], greedy.
        update: `update(key, AgentState, Batch) -> (AgentState, UpdateInfo)`. Where the norm of the critic's
            gradient is not finite, nothing is learned; where only the actor's is not, actor and targets stay.
        q_values: `q_values(critic_variables, obs [B, O], action [B, A]) -> q [K, B]`, of each critic.
        observe: `observe(AgentState, Transition [N, ...]) -> AgentState`, the running statistics of observations and
            rewards updated by a step of experience; nothing where neither is normalised.
        reward_limit: `reward_limit(AgentState) -> scalar`, to which `Replay.sample` clips the reward of each step, in
            the environment's unit; None where rewards are not normalised.
    """

    init: Callable[[Key], AgentState]
    act: Callable[[Tree, Tree], Array]
    update: Callable[[Key, AgentState, Batch], tuple[AgentState, UpdateInfo]]
    q_values: Callable[[Tree, Tree, Array], Array]
    observe: Callable[[AgentState, Transition], AgentState]
    reward_limit: Callable[[AgentState], Array | None] = lambda state: None
