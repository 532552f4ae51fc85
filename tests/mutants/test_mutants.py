"""Faults that agents like this one have had, put back on purpose: the suite must turn red at each.

A mutant is the package with one passage changed; the named test must fail on it by an assertion, and pass without it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PASSED, FAILED = 0, 1

pytestmark = pytest.mark.mutants


class Mutant(NamedTuple):
    """One fault: what stands in the file (exactly once), what is put there, and the test that must notice."""

    name: str
    file: str
    old: str
    new: str
    test: str


AGENT = "tests/agent/test_ddpg.py::"
LOSSES = "tests/agent/test_losses.py::LossesTest::"
EXPLORATION = "tests/agent/test_exploration.py::"
FOLD = "tests/replay/test_n_step.py::FoldTest::test_three_steps_stop_at_an_end_and_at_the_write_head__without_jit"
LOOP = "tests/training/test_loop.py::"
BRIDGE = "tests/envs/gymnasium/test_gymnasium.py::"

MUTANTS = [
    Mutant(
        "a time limit stops the bootstrap",
        "replay/n_step.py",
        "(window.next_obs, window.terminated))",
        "(window.next_obs, window.terminated | window.truncated))",
        FOLD,
    ),
    Mutant(
        "the bootstrap goes on after termination",
        "replay/n_step.py",
        "jnp.where(final[1], 0, ",
        "jnp.where(False, 0, ",
        FOLD,
    ),
    Mutant(
        "n steps are folded across an episode's end",
        "replay/n_step.py",
        "jnp.where(ended.any(axis=1), ",
        "jnp.where(False, ",
        FOLD,
    ),
    Mutant(
        "n steps are folded across the write head",
        "replay/n_step.py",
        "jnp.minimum(until_end, available)",
        "until_end",
        FOLD,
    ),
    Mutant(
        "folded steps are discounted as one",
        "replay/n_step.py",
        "jnp.asarray(discount, dtype) ** used)",
        "jnp.asarray(discount, dtype))",
        FOLD,
    ),
    Mutant(
        "the memory keeps one row too few",
        "replay/buffer.py",
        "jax.lax.rem(state.head + 1, length)",
        "jax.lax.rem(state.head + 1, length - 1)",
        "tests/replay/test_buffer.py::test_steps_are_kept_in_order_and_the_oldest_is_overwritten",
    ),
    Mutant(
        "the actor is updated on the critic before its update",
        "agent/ddpg.py",
        "state, info = update_critic(parts, key, state, batch)\n"
        "        state, info = delayed_update(state, info, batch)",
        "old = state.params.critic\n"
        "        state, info = update_critic(parts, key, state, batch)\n"
        "        new = state.params.critic\n"
        "        state, info = delayed_update(state._replace(params=Params(state.params.actor, old)), info, batch)\n"
        "        state = state._replace(params=Params(state.params.actor, new))",
        AGENT + "test_the_actor_follows_the_critic_after_its_update",
    ),
    Mutant(
        "targets start from parameters of their own",
        "agent/ddpg.py",
        "target_params = jax.tree.map(jnp.copy, params)",
        "target_params = Params(parts.actor.init(critic_key), parts.critic.init(actor_key))",
        AGENT + "test_targets_start_as_exact_copies_in_buffers_of_their_own[jit]",
    ),
    Mutant(
        "targets keep tau of themselves",
        "agent/target_networks.py",
        "leaves.incremental_update(online, target, config.tau)",
        "leaves.incremental_update(online, target, 1 - config.tau)",
        AGENT + "test_targets_move_by_tau_towards_the_new_parameters",
    ),
    Mutant(
        "the policy delay is ignored",
        "agent/ddpg.py",
        "if period == 1:",
        "if period >= 1:",
        AGENT + "test_actor_and_targets_wait_for_every_policy_delay_th_update",
    ),
    Mutant(
        "the gradient is clipped element by element",
        "agent/optimizer.py",
        "lambda leaf: leaf * scale, grads)",
        "lambda leaf: jnp.clip(leaf, -max_norm, max_norm), grads)",
        AGENT + "test_clipping_bounds_the_global_norm_and_reports_it_unclipped",
    ),
    Mutant(
        "a gradient that is not finite is learned",
        "agent/skipping.py",
        "jax.lax.cond(is_finite, ",
        "jax.lax.cond(True, ",
        AGENT + "SkippingTest::"
        "test_an_update_with_a_gradient_that_is_not_finite_changes_nothing_but_its_counters__with_jit",
    ),
    Mutant(
        "the target takes the maximum of the critics",
        "agent/heads.py",
        "lambda q: q.min(axis=0)",
        "lambda q: q.max(axis=0)",
        "tests/agent/test_heads.py::HeadTest::test_the_smallest_value_or_the_mean_is_the_target_s__without_jit",
    ),
    Mutant(
        "the critic's loss ignores the importance weights",
        "agent/losses.py",
        "jnp.mean(weight * loss(q - target)",
        "jnp.mean(loss(q - target)",
        LOSSES + "test_critic_loss_is_weighted_averaged_over_rows_and_summed_over_critics__without_jit",
    ),
    Mutant(
        "one smoothing noise for the whole batch",
        "agent/losses.py",
        "jax.random.normal(key, action.shape, ",
        "jax.random.normal(key, action.shape[-1:], ",
        LOSSES + "test_smoothing_draws_once_for_each_row_and_dimension_and_only_by_its_key__without_jit",
    ),
    Mutant(
        "the smoothed target action leaves its bounds",
        "agent/losses.py",
        "return jnp.clip(action + jnp.clip(noise, -clip, clip), -1, 1)",
        "return action + jnp.clip(noise, -clip, clip)",
        LOSSES + "test_smoothing_stays_within_its_clip_and_the_action_bounds__without_jit",
    ),
    Mutant(
        "a gradient flows through the target",
        "agent/losses.py",
        "jax.lax.stop_gradient(reward",
        "(reward",
        "tests/agent/test_losses.py::test_no_gradient_flows_through_the_target",
    ),
    Mutant(
        "actions with noise leave their bounds",
        "agent/exploration.py",
        "jnp.clip(action + noise, -1, 1)",
        "action + noise",
        EXPLORATION + "test_every_exploration_keeps_the_contract[gaussian]",
    ),
    Mutant(
        "all environments share their noise",
        "agent/exploration.py",
        "dt**0.5 * jax.random.normal(key, action.shape, ",
        "dt**0.5 * jax.random.normal(key, action.shape[-1:], ",
        EXPLORATION + "test_another_key_gives_another_action[ou]",
    ),
    Mutant(
        "OU noise forgets where it was",
        "agent/exploration.py",
        "OUState(scale_state, x, policy_state)",
        "OUState(scale_state, state.noise, policy_state)",
        EXPLORATION + "test_ou_noise_starts_again_only_where_an_episode_starts",
    ),
    Mutant(
        "OU noise goes on into the next episode",
        "agent/exploration.py",
        "jnp.where(first[:, None], mean, state.noise)",
        "state.noise",
        EXPLORATION + "test_ou_noise_starts_again_only_where_an_episode_starts",
    ),
    Mutant(
        "one pair of bounds for all action dimensions",
        "types.py",
        "(self.action_high - self.action_low) / 2",
        "(self.action_high - self.action_low)[0] / 2",
        BRIDGE + "test_the_bridge_yields_the_transitions_of_a_plain_loop[1-make_foreign_call]",
    ),
    Mutant(
        "the successor is the observation after the reset",
        "envs/gymnasium/bridge.py",
        "Timestep(reward, terminated, truncated, next_obs, ",
        "Timestep(reward, terminated, truncated, obs, ",
        BRIDGE + "test_the_bridge_yields_the_transitions_of_a_plain_loop[1-make_foreign_call]",
    ),
    Mutant(
        "every episode has the same seed",
        "envs/gymnasium/host.py",
        "SeedSequence((run_seed, env, episode))",
        "SeedSequence((run_seed, env))",
        BRIDGE + "test_every_episode_has_a_seed_of_its_own",
    ),
    Mutant(
        "acting and the environment share a key",
        "training/loop.py",
        "act_key, env_key, update_key = keys",
        "_, env_key, update_key = keys\n        act_key = env_key",
        LOOP + "test_the_loop_follows_its_order",
    ),
    Mutant(
        "learning begins before update_after",
        "training/phases.py",
        "learns = begin >= train.update_after",
        "learns = True",
        LOOP + "test_updates_per_step_are_counted",
    ),
    Mutant(
        "an evaluation counts episodes that have not ended",
        "training/evaluation.py",
        "finished=rollout.finished + ended",
        "finished=rollout.finished + 1",
        "tests/training/test_evaluation.py::test_returns_and_lengths_are_those_of_whole_episodes[1]",
    ),
    Mutant(
        "each critic's target has a noise of its own",
        "agent/ddpg.py",
        "next_output = parts.critic.apply(state.target_params.critic, batch.next_obs, next_action)",
        "target = state.target_params\n"
        "    greedy = parts.actor.apply(target.actor, batch.next_obs)\n"
        "    keys = jax.random.split(key, len(parts.critic.apply(target.critic, batch.next_obs, greedy)))\n"
        "    found = [parts.critic.apply(target.critic, batch.next_obs, parts.smooth(k, greedy)) for k in keys]\n"
        "    next_output = jnp.stack([q[index] for index, q in enumerate(found)])",
        AGENT + "test_critics_of_an_ensemble_share_one_target_noise",
    ),
]


def copy_repository(place):
    """The package and its tests, for a process of its own, with the repository's compiled programs, even small ones."""
    for folder in ("ddpg_jax", "tests"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    with (place / "tests" / "conftest.py").open("a") as conftest:
        # By its own path, which is a part of a program's key; a link to it would find nothing.
        conftest.write(f'jax.config.update("jax_compilation_cache_dir", {str(ROOT / ".jax_cache")!r})\n')
        conftest.write('jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)\n')


def run_tests(place, tests):
    # Without plugins, whose import takes longer than most of these tests, and without the options that need them.
    options = ["-o", "addopts=", "-p", "no:cacheprovider", "-x", "-q", "--tb=short"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)


def run_mutant(mutant, place):
    copy_repository(place)
    file = place / "ddpg_jax" / mutant.file
    text = file.read_text()
    assert text.count(mutant.old) == 1, f"out of date: {mutant.file} must hold exactly once: {mutant.old}"
    file.write_text(text.replace(mutant.old, mutant.new))
    return run_tests(place, [mutant.test])


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """The tests of all mutants, on the package as it is; it comes first, since what it compiles the others need."""
    place = tmp_path_factory.mktemp("control")
    copy_repository(place)
    return run_tests(place, sorted({mutant.test for mutant in MUTANTS}))


@pytest.fixture(scope="module")
def runs(control, tmp_path_factory):
    """Every mutant's run, two at a time, as a future by name."""
    pool = ThreadPoolExecutor(2)
    yield {mutant.name: pool.submit(run_mutant, mutant, tmp_path_factory.mktemp("mutant")) for mutant in MUTANTS}
    pool.shutdown(cancel_futures=True)


def test_without_a_fault_the_tests_pass(control):
    assert control.returncode == PASSED, control.stdout + control.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_suite_notices(mutant, runs):
    run = runs[mutant.name].result()
    assert run.returncode == FAILED, run.stdout + run.stderr
    assert re.search(r"^E +(assert|AssertionError)", run.stdout, re.M), f"not noticed by an assertion:\n{run.stdout}"
