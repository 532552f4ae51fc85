"""The agent: how it starts, how it acts, and the one update of DDPG and TD3.

Source: Lillicrap et al. (2015), algorithm 1; Fujimoto et al. (2018), algorithm 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.heads import make_head
from ddpg_jax.agent.losses import actor_loss, smooth_target_action
from ddpg_jax.agent.networks import PARAMS, Networks, ensemble, first, mlp_networks, train_apply
from ddpg_jax.agent.normalization import (
    Normalization,
    both,
    no_normalization,
    obs_normalization,
    restart_returns,
    reward_normalization,
)
from ddpg_jax.agent.optimizer import Leaves, make_leaves, make_optimizer
from ddpg_jax.agent.own_networks import check_networks
from ddpg_jax.config import DDPGConfig, validate
from ddpg_jax.types import Array, Batch, EnvSpec, Key, Transition, Tree

SATURATED = 0.99


class Params(NamedTuple):
    """Variables of the actor and of the critics: "params", the critics' stacked `[K, ...]`, and running statistics."""

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
        target_params: what follows it slowly.
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


class TargetMovement(NamedTuple):
    """How targets follow, turn by turn of the actor.

    Attributes:
        begin: `begin() -> copy_due`, as it is in a fresh `AgentState`.
        move: `move(AgentState, params) -> target_params`, where the actor learned `params`.
        missed: `missed(AgentState, learned) -> copy_due` after a turn in which the actor learned or, skipped, did not.
    """

    begin: Callable[[], Tree]
    move: Callable[[AgentState, Params], Params]
    missed: Callable[[AgentState, Array], Tree]


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
        observe: `observe(AgentState, Transition [N, ...]) -> AgentState`, what is known of observations and rewards
            moved on by a step of experience; nothing where neither is normalised.
        reward_limit: `reward_limit(AgentState) -> scalar`, to which `Replay.sample` clips the reward of each step, in
            the environment's unit; None where rewards are not normalised.
    """

    init: Callable[[Key], AgentState]
    act: Callable[[Tree, Tree], Array]
    update: Callable[[Key, AgentState, Batch], tuple[AgentState, UpdateInfo]]
    q_values: Callable[[Tree, Tree, Array], Array]
    observe: Callable[[AgentState, Transition], AgentState]
    reward_limit: Callable[[AgentState], Array | None] = lambda state: None


def ddpg(
    spec: EnvSpec,
    config: DDPGConfig = DDPGConfig(),  # noqa: B008
    networks: Networks | None = None,
    num_envs: int = 1,
    discount: float = 0.99,
) -> Agent:
    """Build the agent; TD3 is `num_critics=2, policy_delay=2, target_noise=0.2` of the same update.

    Args:
        spec: the environment's spaces.
        config: the settings.
        networks: an actor and one critic to use instead of the MLPs that `config` describes.
        num_envs: environments N whose experience is observed; read where rewards are normalised.
        discount: gamma of their returns; the update takes its own from the batch.

    Raises:
        ConfigError: naming every setting that cannot be used; or the network of `networks` whose output is not [B, A]
            (the actor's) or [B] (the critic's; [B, L] with `num_atoms` L), with its shape.
    """
    validate(config)
    normalization = make_normalization(spec, config, num_envs, discount)
    one_actor, one_critic = check_networks(networks, spec, config) if networks else mlp_networks(spec, config)
    actor = normalization.actor(one_actor)
    critic = normalization.critic(ensemble(one_critic, config.num_critics))
    first_critic = normalization.critic(first(one_critic))
    leaves = make_leaves(config)
    head, smooth, targets = make_head(config), smoothing(config), target_movement(config, leaves)
    optimizer = Params(
        make_optimizer(
            config.actor_lr, config.actor_lr_schedule, config, config.actor_weight_decay, config.policy_delay
        ),
        make_optimizer(config.critic_lr, config.critic_lr_schedule, config, config.critic_weight_decay),
    )

    def init(key: Key) -> AgentState:
        actor_key, critic_key = jax.random.split(key)
        # Copies: the arrays of a network of a user's own may be kept by it, and are lost where a state is donated.
        params = jax.tree.map(jnp.copy, Params(actor.init(actor_key), critic.init(critic_key)))
        opt_state = Params(optimizer.actor.init(params.actor[PARAMS]), optimizer.critic.init(params.critic[PARAMS]))
        skipped = Skipped(jnp.int32(0), jnp.int32(0))
        return AgentState(params, jax.tree.map(jnp.copy, params), opt_state, jnp.int32(0), skipped, targets.begin())

    def update_critic(key: Key, state: AgentState, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        variables = state.params.critic
        next_action = smooth(key, actor.apply(state.target_params.actor, batch.next_obs))
        next_output = critic.apply(state.target_params.critic, batch.next_obs, next_action)
        target = head.target(key, normalization.reward(variables, batch.reward), batch.discount, next_output)

        def loss(params: Tree) -> tuple[Array, tuple[Array, Tree]]:
            output, moved = train_apply(critic, {**variables, PARAMS: params}, batch.obs, batch.action)
            return head.loss(output, target, batch.weight), (head.value(output[0]), moved)

        (value, (q, moved)), grads = jax.value_and_grad(loss, has_aux=True)(variables[PARAMS])
        old, norm = (variables, state.opt_state.critic), leaves.global_norm(grads)
        finite = jnp.isfinite(norm)

        def learn() -> tuple[Tree, Tree]:
            params, opt_state = optimizer.critic.descend(grads, norm, state.opt_state.critic, variables[PARAMS])
            return {**moved, PARAMS: params}, opt_state

        # A condition costs nothing on CPU, while a select of each leaf slows Adam's kernels (benchmarks/NOTES.md).
        learned, opt_state = jax.lax.cond(finite, learn, lambda: old)
        state = state._replace(
            params=state.params._replace(critic=learned),
            opt_state=state.opt_state._replace(critic=opt_state),
            skipped=Skipped(state.skipped.in_a_row + ~finite, state.skipped.total + ~finite),
        )
        nan = jnp.full_like(value, jnp.nan)
        expected = head.mean(target)
        mean_q, mean_target = (normalization.value(variables, values.mean()) for values in (q, expected))
        # Parameters of a network of a user's own may be of a shorter float than the rest.
        norm = norm.astype(value.dtype)
        return state, UpdateInfo(value, nan, mean_q, mean_target, jnp.abs(q - expected), norm, nan, nan)

    def update_actor_and_targets(state: AgentState, info: UpdateInfo, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        variables = state.params.actor

        def loss(params: Tree) -> tuple[Array, tuple[Array, Tree]]:
            action, moved = train_apply(actor, {**variables, PARAMS: params}, batch.obs)
            q = head.value(first_critic.apply(state.params.critic, batch.obs, action))
            return actor_loss(q), (action, moved)

        (value, (action, moved)), grads = jax.value_and_grad(loss, has_aux=True)(variables[PARAMS])
        old, norm = (variables, state.opt_state.actor, state.target_params), leaves.global_norm(grads)
        critic_learned = jnp.isfinite(info.critic_grad_norm)
        finite = jnp.isfinite(norm) & critic_learned
        failed = critic_learned & ~finite  # an update that both fail is one

        def learn() -> tuple[Tree, Tree, Params]:
            params, opt_state = optimizer.actor.descend(grads, norm, state.opt_state.actor, variables[PARAMS])
            learned = state.params._replace(actor={**moved, PARAMS: params})
            return learned.actor, opt_state, targets.move(state, learned)

        learned, opt_state, target_params = jax.lax.cond(finite, learn, lambda: old)
        in_a_row, total = state.skipped
        state = state._replace(
            params=state.params._replace(actor=learned),
            target_params=target_params,
            opt_state=state.opt_state._replace(actor=opt_state),
            skipped=Skipped(jnp.where(finite, 0, in_a_row + failed), total + failed),
            copy_due=targets.missed(state, finite),
        )
        saturation = jnp.mean(jnp.abs(action) > SATURATED, dtype=value.dtype)
        return state, info._replace(actor_loss=value, actor_grad_norm=norm.astype(value.dtype), saturation=saturation)

    delayed_update = every(config.policy_delay, update_actor_and_targets)

    def update(key: Key, state: AgentState, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        state, info = update_critic(key, state, batch)
        state, info = delayed_update(state, info, batch)
        return state._replace(step=state.step + 1), info

    def q_values(variables: Tree, obs: Tree, action: Array) -> Array:
        return normalization.value(variables, head.value(critic.apply(variables, obs, action)))

    def observe(state: AgentState, transition: Transition) -> AgentState:
        moved = normalization.observe(state.params.critic, transition)

        def told(variables: Tree) -> Tree:
            # Each network holds arrays of its own, or the state could not be donated.
            return {**variables, **{name: jax.tree.map(jnp.copy, moved[name]) for name in moved if name in variables}}

        params, target_params = (Params(*map(told, side)) for side in (state.params, state.target_params))
        return state._replace(params=params, target_params=target_params)

    def reward_limit(state: AgentState) -> Array | None:
        return normalization.limit(state.params.critic)

    return Agent(init, actor.apply, update, q_values, observe, reward_limit)


def restart_episodes(state: AgentState, which: Array) -> AgentState:
    """What an agent knows of the running episodes of these environments, `[N]` bool, begins anew: their returns."""

    def anew(params: Params) -> Params:
        return Params(*[restart_returns(variables, which) for variables in params])

    return state._replace(params=anew(state.params), target_params=anew(state.target_params))


def make_normalization(spec: EnvSpec, config: DDPGConfig, num_envs: int, discount: float) -> Normalization:
    """What the settings ask to be normalised."""
    return both(
        obs_normalization(spec.obs) if config.normalize_obs else no_normalization(),
        reward_normalization(num_envs, discount) if config.normalize_reward else no_normalization(),
    )


def target_movement(config: DDPGConfig, leaves: Leaves) -> TargetMovement:
    """How targets follow, with each update of the actor: theta' <- tau theta + (1 - tau) theta', statistics copied.

    With a `target_period` N, on each N-th turn of the actor, or, where that one was skipped, on the next that is not.
    """

    def move(state: AgentState, params: Params) -> Params:
        sides = params, state.target_params
        learned, targets = ([variables[PARAMS] for variables in side] for side in sides)
        followed = leaves.follow(learned, targets, config.tau)
        return Params(*[{**variables, PARAMS: moved} for variables, moved in zip(params, followed, strict=True)])

    if config.target_period == 1:
        return TargetMovement(lambda: (), move, lambda state, learned: ())

    def due(state: AgentState) -> Array:
        return state.copy_due | ((state.step // config.policy_delay + 1) % config.target_period == 0)

    def move_if_due(state: AgentState, params: Params) -> Params:
        return jax.lax.cond(due(state), lambda: move(state, params), lambda: state.target_params)

    return TargetMovement(lambda: jnp.bool_(False), move_if_due, lambda state, learned: due(state) & ~learned)


def smoothing(config: DDPGConfig) -> Callable[[Key, Array], Array]:
    """Target policy smoothing as a function of `(key, action)`; the identity without noise."""
    if not config.target_noise:
        return lambda key, action: action
    return lambda key, action: smooth_target_action(key, action, config.target_noise, config.target_noise_clip)


def every(period: int, update: Callable) -> Callable:
    """`update(state, info, batch)` on every `period`-th step, `(state, info)` unchanged on the others."""
    if period == 1:
        return update

    def delayed(state: AgentState, info: UpdateInfo, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        due = (state.step + 1) % period == 0
        return jax.lax.cond(due, lambda: update(state, info, batch), lambda: (state, info))

    return delayed
