"""The update, against hand-written mathematics on networks small enough to write down."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.networks import Network, Networks
from ddpg_jax.agent.state import Params
from ddpg_jax.config import ConfigError, DDPGConfig
from ddpg_jax.types import Batch, EnvSpec, Transition

KEY = jax.random.key(0)
ONE = np.ones(1, np.float32)
SPEC = EnvSpec(jax.ShapeDtypeStruct((1,), jnp.float32), -ONE, ONE)


def learned(init, apply):
    """A network of parameters alone."""
    return Network(lambda key: {"params": init(key)}, lambda variables, *inputs: apply(variables["params"], *inputs))


# a = w s and Q = u s + v a + b: every gradient can be written down.
LINEAR = Networks(
    actor=learned(
        lambda key: {"w": jax.random.uniform(key)},
        lambda params, obs: params["w"] * obs,
    ),
    critic=learned(
        lambda key: dict(zip("uvb", jax.random.uniform(key, (3,)), strict=True)),
        lambda params, obs, action: params["u"] * obs[:, 0] + params["v"] * action[:, 0] + params["b"],
    ),
)

BATCH = Batch(
    obs=jnp.array([[1.0], [2.0]]),
    action=jnp.array([[0.5], [-0.5]]),
    reward=jnp.array([1.0, 3.0]),
    discount=jnp.array([0.5, 0.0]),
    next_obs=jnp.array([[2.0], [9.0]]),
    weight=jnp.array([1.0, 2.0]),
)


def linear_agent(**settings):
    return ddpg(SPEC, DDPGConfig(**settings), LINEAR)


def typed_in(agent, w=0.5, u=(1.0,), v=(2.0,), b=(0.0,)):
    """A state with these parameters, targets one above them."""
    critic = {"u": jnp.array(u), "v": jnp.array(v), "b": jnp.array(b)}
    params = Params({"params": {"w": jnp.float32(w)}}, {"params": critic})
    return agent.init(KEY)._replace(params=params, target_params=jax.tree.map(lambda leaf: leaf + 1, params))


def first_moment(opt_state):
    """Adam's running mean, a tenth of the first gradient after one step."""
    return optax.tree_utils.tree_get(opt_state, "mu")


def critic_gradient(params, target, batch=BATCH):
    """The gradient of mean w (Q - y)^2 of one linear critic, in NumPy."""
    s, a = np.asarray(batch.obs)[:, 0], np.asarray(batch.action)[:, 0]
    q = params["u"][0] * s + params["v"][0] * a + params["b"][0]
    slope = 2 * np.asarray(batch.weight) * (np.asarray(q) - target) / len(s)
    return {name: np.array([np.sum(slope * x)]) for name, x in {"u": s, "v": a, "b": np.ones_like(s)}.items()}


def actor_gradient(critic, batch=BATCH):
    """The gradient of -mean Q(s, w s), which is -v mean s."""
    return -critic["v"][0] * np.mean(batch.obs)


@pytest.mark.parametrize("transform", [lambda init: init, jax.jit])
def test_targets_start_as_exact_copies_in_buffers_of_their_own(transform):
    agent = linear_agent(num_critics=2)
    state = transform(agent.init)(KEY)
    chex.assert_trees_all_equal(state.params, state.target_params)
    leaves = jax.tree.leaves((state.params, state.target_params))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
    state, _ = jax.jit(agent.update, donate_argnums=1)(KEY, state, BATCH)
    assert state.step == 1


def test_one_update_has_the_numbers_worked_out_by_hand():
    agent = linear_agent(actor_lr=0.01, critic_lr=0.1, tau=0.25)
    state, info = agent.update(KEY, typed_in(agent), BATCH)
    # Targets are w' = 1.5, u' = 2, v' = 3, b' = 1, so Q'(2, 3) = 14 and y = (1 + 0.5 * 14, 3); Q = (2, 1).
    np.testing.assert_allclose(info.target, (8 + 3) / 2)
    np.testing.assert_allclose(info.q, 1.5)
    np.testing.assert_allclose(info.td_error, [6, 2])
    np.testing.assert_allclose(info.critic_loss, (1 * 36 + 2 * 4) / 2)
    # Adam's first step is the learning rate against the gradient's sign; u: -14, v: -1, b: -10.
    chex.assert_trees_all_close(
        state.params.critic["params"], {"u": jnp.array([1.1]), "v": jnp.array([2.1]), "b": jnp.array([0.1])}, rtol=1e-5
    )
    np.testing.assert_allclose(info.critic_grad_norm, np.sqrt(14**2 + 1 + 10**2), rtol=1e-6)
    # The actor's gradient is that of the new critic: -2.1 * 1.5.
    np.testing.assert_allclose(state.params.actor["params"]["w"], 0.51, rtol=1e-5)
    np.testing.assert_allclose(info.actor_grad_norm, 3.15, rtol=1e-5)
    np.testing.assert_allclose(info.actor_loss, -(1.1 * 1.5 + 2.1 * 0.75 + 0.1), rtol=1e-5)
    np.testing.assert_allclose(info.saturation, 0.5)
    np.testing.assert_allclose(state.target_params.actor["params"]["w"], 0.25 * 0.51 + 0.75 * 1.5, rtol=1e-6)
    assert state.step == 1


def test_the_actor_follows_the_critic_after_its_update():
    agent = linear_agent(critic_lr=0.5)
    before = typed_in(agent)
    after, _ = agent.update(KEY, before, BATCH)
    gradient = first_moment(after.opt_state.actor)["w"] / 0.1
    np.testing.assert_allclose(gradient, actor_gradient(after.params.critic["params"]), rtol=1e-5)
    assert abs(gradient - actor_gradient(before.params.critic["params"])) > 0.5


def test_targets_move_by_tau_towards_the_new_parameters():
    agent = linear_agent(tau=0.1, actor_lr=0.1, critic_lr=0.1)
    before = typed_in(agent)
    after, _ = agent.update(KEY, before, BATCH)
    expected = jax.tree.map(lambda new, old: 0.1 * new + 0.9 * old, after.params, before.target_params)
    chex.assert_trees_all_close(after.target_params, expected, rtol=1e-5, atol=1e-6)


def test_actor_and_targets_wait_for_every_policy_delay_th_update():
    agent = linear_agent(policy_delay=3, critic_lr=0.1)
    update = jax.jit(agent.update)
    state, moved = typed_in(agent), []
    for _ in range(6):
        before = state
        state, info = update(KEY, state, BATCH)
        due = state.step % 3 == 0
        assert bool(due) != bool(jnp.isnan(info.actor_loss))
        assert bool(due) != bool(jnp.isnan(info.actor_grad_norm))
        assert bool(due) != bool(jnp.isnan(info.saturation))
        assert jnp.isfinite(info.critic_loss)
        assert state.params.critic["params"]["b"] != before.params.critic["params"]["b"]
        actor = (before.params.actor["params"], before.target_params, before.opt_state.actor)
        now = (state.params.actor["params"], state.target_params, state.opt_state.actor)
        moved.append(any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.any(a != b)), actor, now))))
    assert moved == [False, False, True, False, False, True]


def test_clipping_bounds_the_global_norm_and_reports_it_unclipped():
    agent = linear_agent(max_grad_norm=1.0)
    state = typed_in(agent, v=(-2e3,))
    batch = BATCH._replace(reward=1e6 * BATCH.reward, discount=jnp.zeros(2))
    after, info = agent.update(KEY, state, batch)
    gradient = critic_gradient(state.params.critic["params"], np.asarray(batch.reward), batch)
    norm = np.sqrt(sum(np.sum(leaf**2) for leaf in gradient.values()))
    clipped = {name: 0.1 * leaf / norm for name, leaf in gradient.items()}
    chex.assert_trees_all_close(first_moment(after.opt_state.critic), clipped, rtol=1e-5)
    np.testing.assert_allclose(info.critic_grad_norm, norm, rtol=1e-5)
    np.testing.assert_allclose(first_moment(after.opt_state.actor)["w"], 0.1, rtol=1e-5)
    np.testing.assert_allclose(info.actor_grad_norm, 3e3, rtol=1e-3)


def test_a_gradient_below_the_bound_is_not_clipped():
    agent = linear_agent(max_grad_norm=1e6)
    state = typed_in(agent)
    after, _ = agent.update(KEY, state, BATCH)
    expected = jax.tree.map(
        lambda leaf: 0.1 * leaf, critic_gradient(state.params.critic["params"], np.array([8.0, 3.0]))
    )
    chex.assert_trees_all_close(first_moment(after.opt_state.critic), expected, rtol=1e-5)


def test_weight_decay_adds_the_penalty_s_gradient_to_the_critic_alone():
    agent = linear_agent(critic_weight_decay=0.5)
    state = typed_in(agent)
    after, _ = agent.update(KEY, state, BATCH)
    gradient = critic_gradient(state.params.critic["params"], np.array([8.0, 3.0]))
    expected = jax.tree.map(lambda leaf, param: 0.1 * (leaf + 0.5 * param), gradient, state.params.critic["params"])
    chex.assert_trees_all_close(first_moment(after.opt_state.critic), expected, rtol=1e-5)
    actor = 0.1 * actor_gradient(after.params.critic["params"])
    np.testing.assert_allclose(first_moment(after.opt_state.actor)["w"], actor, rtol=1e-5)


def test_both_learning_rates_fall_linearly_and_then_stay():
    settings = {"actor_lr": 0.01, "critic_lr": 0.1, "lr_decay_updates": 4, "lr_final_fraction": 0.5}
    agent = linear_agent(**settings)
    batch = BATCH._replace(reward=jnp.full(2, 1e6), action=BATCH.obs)
    update = jax.jit(agent.update)
    state, actor, critic = typed_in(agent, v=(1e4,)), [0.5], [0.0]
    for _ in range(6):  # under nearly constant gradients each step of Adam is the learning rate
        state, _ = update(KEY, state, batch)
        actor.append(float(state.params.actor["params"]["w"]))
        critic.append(float(state.params.critic["params"]["b"][0]))
    np.testing.assert_allclose(np.diff(critic), [0.1, 0.0875, 0.075, 0.0625, 0.05, 0.05], rtol=1e-3)
    np.testing.assert_allclose(np.diff(actor), [0.01, 0.00875, 0.0075, 0.00625, 0.005, 0.005], rtol=1e-3)


def learning(state):
    """All that an update learns: everything but the counters."""
    return state.params, state.target_params, state.opt_state


def moved(before, after):
    """Whether anything differs, for each part of what is learned."""
    return [
        any(jax.tree.leaves(jax.tree.map(lambda a, b: bool((np.asarray(a) != np.asarray(b)).any()), one, other)))
        for one, other in zip(learning(before), learning(after), strict=True)
    ]


# A gradient that overflows only in its norm, too: its square is beyond float32.
FAULTY = [{"reward": np.inf}, {"reward": np.nan}, {"reward": 1e25}, {"next_obs": np.nan}, {"obs": np.inf}]


class SkippingTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_an_update_with_a_gradient_that_is_not_finite_changes_nothing_but_its_counters(self):
        agent = linear_agent(max_grad_norm=1.0, critic_weight_decay=0.1, lr_decay_updates=10)
        update, before = self.variant(agent.update), typed_in(agent)
        for count, fault in enumerate(FAULTY, 1):
            ((field, value),) = fault.items()
            leaf = getattr(BATCH, field)
            state, info = update(KEY, before, BATCH._replace(**{field: leaf.at[0].set(value)}))
            chex.assert_trees_all_equal(learning(state), learning(before))
            assert (int(state.step), *map(int, state.skipped)) == (count, count, count)
            assert not np.isfinite(info.critic_grad_norm)
            before = state
        state, _ = update(KEY, before, BATCH)
        assert moved(before, state) == [True, True, True]
        chex.assert_tree_all_finite(state)
        assert tuple(map(int, state.skipped)) == (0, len(FAULTY))
        # What was skipped has left no trace: the next update is what it would have been.
        chex.assert_trees_all_equal(learning(state), learning(update(KEY, typed_in(agent), BATCH)[0]))

    @chex.variants(with_jit=True, without_jit=True)
    def test_two_critics_and_a_delayed_actor_are_skipped_together(self):
        agent = linear_agent(num_critics=2, policy_delay=2)
        update = self.variant(agent.update)
        state = typed_in(agent, u=(1.0, 1.0), v=(2.0, 0.0), b=(0.0, 3.0))
        faulty = BATCH._replace(reward=jnp.array([1.0, jnp.inf]))
        seen = []
        for batch in (BATCH, faulty, faulty, BATCH, faulty, BATCH, BATCH):  # the actor's turn is every second one
            before = state
            state, _ = update(KEY, before, batch)
            seen.append((moved(before, state), *map(int, state.skipped)))
            chex.assert_tree_all_finite(state)
        critic_only, both, none = [True, False, True], [True, True, True], [False, False, False]
        assert seen == [
            (critic_only, 0, 0),
            (none, 1, 1),
            (none, 2, 2),
            (both, 0, 2),
            (none, 1, 3),
            (both, 0, 3),
            (critic_only, 0, 3),
        ]

    @chex.variants(with_jit=True, without_jit=True)
    def test_a_fault_of_the_actor_alone_skips_the_actor_and_the_targets(self):
        # The root's slope at zero is not finite; the critic's own gradient does not contain it.
        rooted = LINEAR._replace(
            critic=LINEAR.critic._replace(
                apply=lambda variables, obs, action: (
                    variables["params"]["u"] * obs[:, 0] + variables["params"]["v"] * jnp.sqrt(action[:, 0])
                )
            )
        )
        agent = ddpg(SPEC, DDPGConfig(), rooted)
        update, before = self.variant(agent.update), typed_in(agent)
        batch = BATCH._replace(action=jnp.abs(BATCH.action))
        state, info = update(KEY, before, batch._replace(obs=jnp.array([[0.0], [2.0]])))
        assert np.isfinite(info.critic_grad_norm)
        assert not np.isfinite(info.actor_grad_norm)
        assert tuple(map(int, state.skipped)) == (1, 1)
        chex.assert_trees_all_equal(
            (state.params.actor["params"], state.opt_state.actor, state.target_params),
            (before.params.actor["params"], before.opt_state.actor, before.target_params),
        )
        assert moved(before, state) == [True, False, True], "the critic learns"
        state, _ = update(KEY, state, batch)
        assert moved(before, state) == [True, True, True]
        assert tuple(map(int, state.skipped)) == (0, 1)


def test_seeds_side_by_side_skip_each_for_itself():
    agent = linear_agent()
    states = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), typed_in(agent))
    batches = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), BATCH)
    batches = batches._replace(reward=batches.reward.at[1, 0].set(jnp.nan))
    after, _ = jax.vmap(agent.update, (None, 0, 0))(KEY, states, batches)
    assert after.skipped.total.tolist() == [0, 1]
    single, _ = agent.update(KEY, typed_in(agent), BATCH)
    learned, skipped = (jax.tree.map(lambda leaf, i=i: leaf[i], learning(after)) for i in (0, 1))
    chex.assert_trees_all_close(learned, learning(single), rtol=1e-6)
    chex.assert_trees_all_equal(skipped, learning(typed_in(agent)))


def test_discount_zero_stops_the_bootstrap():
    agent = linear_agent()
    state = typed_in(agent)
    ended = BATCH._replace(discount=jnp.zeros(2))
    one = agent.update(KEY, state, ended)
    two = agent.update(KEY, state, ended._replace(next_obs=ended.next_obs + 100))
    chex.assert_trees_all_equal(one, two)
    np.testing.assert_allclose(one[1].target, 2.0)


def test_two_critics_share_the_minimum_of_their_targets():
    agent = linear_agent(num_critics=2)
    # Targets are one above: Q'_1 = 2 s + 3 a + 1 and Q'_2 = 2 s + a + 4 at s = 2, a = 3 are 14 and 11.
    state = typed_in(agent, u=(1.0, 1.0), v=(2.0, 0.0), b=(0.0, 3.0))
    _, info = agent.update(KEY, state, BATCH)
    np.testing.assert_allclose(info.target, (1 + 0.5 * 11 + 3) / 2)
    np.testing.assert_allclose(info.q, 1.5, err_msg="q is that of the first critic")
    np.testing.assert_allclose(info.td_error, [4.5, 2.0])


def test_the_actor_follows_the_first_critic_of_the_ensemble():
    agent = linear_agent(num_critics=2)
    after, _ = agent.update(KEY, typed_in(agent, u=(1.0, 1.0), v=(2.0, -7.0), b=(0.0, 0.0)), BATCH)
    np.testing.assert_allclose(
        first_moment(after.opt_state.actor)["w"], 0.1 * actor_gradient(after.params.critic["params"]), rtol=1e-5
    )


def test_target_noise_moves_the_target_by_its_key_alone():
    agent = linear_agent(target_noise=0.2)
    state = typed_in(agent, w=-1.0)  # the target policy rests, so that noise stays within the bounds
    targets = [float(agent.update(jax.random.key(seed), state, BATCH)[1].target) for seed in (1, 1, 2)]
    assert targets[0] == targets[1] != targets[2]
    # y_1 = 1 + 0.5 (2 * 2 + 3 a + 1) with |a| <= 0.5
    assert all(abs(2 * target - 3 - 3.5) <= 0.75 for target in targets)


def test_acting_is_the_actor_without_noise():
    agent = linear_agent()
    np.testing.assert_allclose(agent.act({"params": {"w": jnp.float32(0.5)}}, BATCH.obs), [[0.5], [1.0]])


def test_everything_is_float64_where_jax_has_64_bits():
    with jax.enable_x64(True):
        # The hidden layers are normalised, so that LayerNorm's parameters are looked at too.
        spec = SPEC._replace(obs=jax.ShapeDtypeStruct((1,), jnp.float64))
        agent = ddpg(spec, DDPGConfig((4,), policy_delay=2, target_noise=0.2, max_grad_norm=1.0))
        batch = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), BATCH)
        state, update = jax.jit(agent.init)(jax.random.key(0)), jax.jit(agent.update)
        for _ in range(2):
            state, info = update(jax.random.key(1), state, batch)
            floats = [leaf for leaf in jax.tree.leaves((state, info)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
            assert {leaf.dtype for leaf in floats} == {np.dtype(np.float64)}
        assert state.step.dtype == jnp.int32


def test_many_updates_compile_once():
    agent = ddpg(SPEC, DDPGConfig((4,), normalization="none", policy_delay=2, target_noise=0.2))
    chex.clear_trace_counter()  # it tells functions apart by their source alone
    update = jax.jit(chex.assert_max_traces(agent.update, n=1))
    state = jax.jit(agent.init)(KEY)
    for seed in range(4):
        state, _ = update(jax.random.key(seed), state, BATCH)
    assert state.step == 4


def test_updates_are_the_same_bits_for_the_same_key():
    agent = linear_agent(target_noise=0.2)
    update = jax.jit(agent.update)
    chex.assert_trees_all_equal(*(update(KEY, agent.init(KEY), BATCH) for _ in range(2)))


def test_settings_that_cannot_be_used_are_refused_before_anything_else():
    with pytest.raises(ConfigError, match=r"tau = 1\.5 must be in \(0, 1\]\nnum_critics = 0 must be >= 1"):
        ddpg(SPEC, DDPGConfig(tau=1.5, num_critics=0))


def test_critics_of_an_ensemble_share_one_target_noise():
    one, two = linear_agent(target_noise=0.2), linear_agent(num_critics=2, target_noise=0.2)
    state, twins = typed_in(one, w=-1.0), typed_in(two, w=-1.0, u=(1.0, 1.0), v=(2.0, 2.0), b=(0.0, 0.0))
    for seed in range(8):  # were there two draws, the smaller would be taken
        key = jax.random.key(seed)
        np.testing.assert_allclose(two.update(key, twins, BATCH)[1].target, one.update(key, state, BATCH)[1].target)


class HardCopyTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_a_copy_that_falls_on_a_skipped_update_is_made_up_at_the_next(self):
        agent = linear_agent(tau=1.0, target_period=4)
        update, state = self.variant(agent.update), typed_in(agent)
        faulty = BATCH._replace(reward=jnp.array([1.0, jnp.nan]))
        copied = []
        # Due are the fourth, which is skipped twice over, and the eighth and twelfth.
        for number in range(1, 13):
            before = state
            state, _ = update(KEY, state, faulty if number in (4, 5, 7) else BATCH)
            if moved(before, state)[1]:
                copied.append(number)
                chex.assert_trees_all_equal(state.target_params, state.params)
        assert copied == [6, 8, 12]

    @chex.variants(with_jit=True, without_jit=True)
    def test_with_a_delayed_actor_it_is_made_up_at_its_next_turn(self):
        agent = linear_agent(tau=1.0, target_period=2, policy_delay=2)
        update, state = self.variant(agent.update), typed_in(agent)
        faulty, copied = BATCH._replace(next_obs=jnp.full_like(BATCH.next_obs, jnp.inf)), []
        for number in range(1, 11):
            before = state
            state, _ = update(KEY, state, faulty if number in (3, 4) else BATCH)
            copied += [number] if moved(before, state)[1] else []
        assert copied == [6, 8]


@pytest.mark.parametrize("kernels", ["auto", "xla"])
@pytest.mark.parametrize("settings", [{}, {"normalize_obs": True}, {"normalize_reward": True}])
def test_a_fresh_and_an_observed_state_can_be_donated(settings, kernels):
    agent = ddpg(
        SPEC, DDPGConfig((96, 96), normalization="none", kernels=kernels, target_period=3, **settings), num_envs=2
    )
    update, observe = jax.jit(agent.update, donate_argnums=1), jax.jit(agent.observe, donate_argnums=0)
    no = jnp.zeros(2, bool)
    transition = Transition(BATCH.obs, BATCH.action, BATCH.reward, no, no, BATCH.next_obs)
    for state in (agent.init(KEY), agent.observe(agent.init(KEY), transition)):
        state, _ = update(KEY, observe(state, transition), BATCH)
        state, _ = update(KEY, state, BATCH)
        leaves = jax.tree.leaves(state)
        assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
        assert state.step == 2
