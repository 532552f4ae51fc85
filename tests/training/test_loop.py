import dataclasses
import os
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from programs import compile_to_read
from worlds import Scripted, Seeing, probe

from ddpg_jax import Config, ConfigError, DDPGConfig, Metrics, ReplayConfig, TrainConfig, Transition, make_trainer
from ddpg_jax.agent.exploration import make_exploration
from ddpg_jax.envs.gymnasium import bridge
from ddpg_jax.training import faults, loop
from ddpg_jax.training.learner import idle_learner, make_learner

SMALL = Config(
    agent=DDPGConfig(hidden_sizes=(8,), normalization="none"),
    replay=ReplayConfig(capacity=64, batch_size=4),
    train=TrainConfig(total_steps=1_000, start_steps=20, update_after=30, log_every=50),
)


def world(num_envs=1):
    return probe(lambda obs, action: action, length=7, obs=lambda time, sign: time)(num_envs)


def with_train(**changes):
    return dataclasses.replace(SMALL, train=dataclasses.replace(SMALL.train, **changes))


def run_to(trainer, steps, chunk=50):
    """The runner and all metrics after so many steps, in chunks of at most `chunk`."""
    runner, logs = trainer.init(jax.random.key(0)), []
    while int(runner.step) < steps:
        runner, metrics = trainer.run(jax.random.key(1), runner, min(chunk, steps - int(runner.step)))
        metrics = jax.tree.map(np.asarray, metrics)
        logs.append(jax.tree.map(lambda leaf, taken=metrics.step > 0: leaf[taken], metrics))
    return runner, jax.tree.map(lambda *leaves: np.concatenate(leaves), *logs)


@pytest.mark.parametrize(("start", "after"), [(20, 30), (30, 20)])
def test_random_steps_and_the_first_update_do_not_depend_on_each_other(start, after):
    trainer = make_trainer(world(), with_train(start_steps=start, update_after=after))
    runner, metrics = run_to(trainer, 60)
    assert int(runner.agent.step) == 60 - max(after, 0)
    learned = ~np.isnan(metrics.update.critic_loss)
    assert np.flatnonzero(learned).tolist() == list(range(after, 60))
    actions = np.asarray(runner.replay.rows["float32"])[:60, 0, 1]
    # A new policy's actions are near zero, plus noise of 0.1; random ones are spread over [-1, 1].
    assert np.abs(actions[:start]).max() > 0.5
    assert np.abs(actions[start : start + 8]).max() < 0.5


def test_updates_per_step_are_counted():
    runner, _ = run_to(make_trainer(world(), with_train(updates_per_step=3, start_steps=0, update_after=1)), 11)
    assert int(runner.agent.step) == 30


def test_a_chunk_takes_no_more_steps_than_asked_and_goes_on_beyond_the_runs_length(trainer):
    runner, _ = run_to(trainer, 40)
    late = runner._replace(step=jnp.int32(SMALL.train.total_steps + 10))
    after, metrics = trainer.run(jax.random.key(1), late, 7)
    assert int(after.step) == SMALL.train.total_steps + 17
    assert (np.asarray(metrics.step) > 0).sum() == 7


def test_steps_count_all_environments():
    runner, metrics = run_to(make_trainer(world(4), with_train(start_steps=40, update_after=40)), 80)
    assert int(runner.step) == 80
    assert metrics.ended.shape == (20, 4)
    assert int(runner.agent.step) == 10
    assert int(runner.replay.size) == 16


@pytest.fixture(scope="module")
def trainer():
    """One trainer, compiled once, for every test that only looks."""
    return make_trainer(world(), SMALL)


def test_where_chunks_end_changes_no_bit(trainer):
    whole, one = run_to(trainer, 120)
    parts, two = run_to(trainer, 120, chunk=13)
    chex.assert_trees_all_equal(whole, parts)
    chex.assert_trees_all_equal(one, two)


def follow_the_order(trainer, env, key, runner, num_steps):
    """The loop in plain Python, by its description: what the trainer's own parts make of the runner."""
    exploration = make_exploration(trainer.agent.act, env.spec.action_dim, SMALL.exploration)
    learner = make_learner(trainer.agent, trainer.replay)
    act, draw, update, step_env, add = map(
        jax.jit, (exploration.act, learner.draw, learner.update, env.step, trainer.replay.add)
    )
    log = []
    for _ in range(num_steps):
        # Before this step is stored the batches are drawn, and on the parameters before its update it acts.
        act_key, env_key, update_key, draw_key = jax.random.split(jax.random.fold_in(key, runner.step), 4)
        samples = draw(draw_key, runner.replay, runner.agent)
        action, noise = act(act_key, runner.exploration, runner.agent.params.actor, runner.obs, runner.first)
        agent, infos = update(update_key, runner.agent, samples)
        env_state, obs, timestep = step_env(env_key, runner.env, action)
        reward, *ends, next_obs, _ = timestep
        ended, returns, lengths = ends[0] | ends[1], runner.episode_return + reward, runner.episode_length + 1
        count = runner.step + env.num_envs
        runner = runner._replace(
            step=count,
            agent=agent,
            replay=add(runner.replay, Transition(runner.obs, action, reward, *ends, next_obs)),
            exploration=noise,
            env=env_state,
            obs=obs,
            first=ended,
            episode_return=returns * ~ended,
            episode_length=lengths * ~ended,
        )
        log.append(Metrics(count, learner.report(infos), ended, returns, lengths))
    return runner, jax.tree.map(lambda *leaves: np.stack(leaves), *log)


def test_the_loop_follows_its_order(trainer):
    """While the memory fills, one step more or less in it shows in what is drawn."""
    runner, _ = run_to(trainer, 40)
    # Parameters away from their start, so that an action says which of them chose it.
    agent = jax.tree.map(lambda leaf: leaf + 0.1 if leaf.dtype == jnp.float32 else leaf, runner.agent)
    warm = runner._replace(agent=agent)
    key = jax.random.key(2)
    expected = follow_the_order(trainer, world(), key, warm, 12)
    after, metrics = trainer.run(key, jax.tree.map(jnp.copy, warm), 12)
    assert int(after.step) == 52
    chex.assert_trees_all_close(after, expected[0], rtol=1e-6, atol=1e-6)
    chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[:12], metrics), expected[1], rtol=1e-5, atol=1e-6)


def test_the_memory_holds_what_happened(trainer):
    runner, _ = run_to(trainer, 40)
    obs, action, reward, terminated, truncated, next_obs = np.asarray(runner.replay.rows["float32"])[:40, 0].T
    assert obs.tolist() == [float(step % 7) for step in range(40)]
    assert next_obs.tolist() == [float(step % 7 + 1) for step in range(40)]
    assert terminated.tolist() == [float(step % 7 == 6) for step in range(40)]
    assert not truncated.any()
    np.testing.assert_array_equal(reward, action)


def test_episodes_are_reported_where_they_end(trainer):
    _, metrics = run_to(trainer, 40)
    assert np.flatnonzero(metrics.ended[:, 0]).tolist() == [6, 13, 20, 27, 34]
    assert set(metrics.episode_length[metrics.ended].tolist()) == {7}


@pytest.mark.parametrize(("field", "at"), [("a reward", 33), ("an observation", 33)])
def test_a_value_that_is_not_finite_stops_the_run_before_it_is_stored(field, at):
    base = world(2)

    def step(key, state, action):
        state, obs, timestep = base.step(key, state, action)
        bad = (jnp.arange(2) == 1) & (runner_count(state) >= at)
        if field == "a reward":
            return state, obs, timestep._replace(reward=jnp.where(bad, jnp.nan, timestep.reward))
        return state, obs, timestep._replace(next_obs=jnp.where(bad[:, None], jnp.inf, timestep.next_obs))

    def runner_count(state):
        return counter["steps"] + state[0].max()

    counter = {"steps": 30}
    trainer = make_trainer(base._replace(step=step), SMALL)
    runner, _ = trainer.run(jax.random.key(1), trainer.init(jax.random.key(0)), 50)
    before = int(runner.step)
    assert faults.name_fault(runner) == (
        f"environment 1 gave {field} that is not finite in float32 after step {before}; nothing of that step was stored"
    )
    assert (faults.fault_kind(runner), faults.faulty_envs(runner)) == (faults.Fault.NOT_FINITE, [1])
    assert int(runner.replay.size) * 2 == before < 50
    again, metrics = trainer.run(jax.random.key(1), runner, 50)
    assert int(again.step) == before
    assert not np.asarray(metrics.step).any()


def test_a_compiled_worlds_first_observation_that_is_not_finite_is_found_before_the_first_step():
    trainer = make_trainer(probe(lambda obs, action: action, 7, lambda time, sign: 1 / time)(2), SMALL)
    runner = trainer.init(jax.random.key(0))
    assert faults.name_fault(runner) == (
        "environment 0 gave an observation on its reset that is not finite in float32 after step 0; "
        "nothing of that step was stored"
    )
    runner, metrics = trainer.run(jax.random.key(1), runner, 50)
    assert (int(runner.step), int(runner.replay.size), metrics.step.any()) == (0, 0, False)


def test_a_compiled_worlds_later_reset_is_told_from_its_last_step():
    def step(key, state, action):
        state, obs, timestep = base.step(key, state, action)
        return state, jnp.where(timestep.terminated[:, None], jnp.nan, obs), timestep

    base = world(2)
    trainer = make_trainer(base._replace(step=step), SMALL)
    runner, _ = trainer.run(jax.random.key(1), trainer.init(jax.random.key(0)), 50)
    assert faults.name_fault(runner) == (
        "environment 0 gave an observation on its reset that is not finite in float32 after step 12; "
        "nothing of that step was stored"
    )


class Counting(Scripted):
    """Knows how many steps were taken in all."""

    steps = 0

    def step(self, action):
        assert np.isfinite(action).all()
        type(self).steps += 1
        return super().step(action)


def hides_its_action(num_envs):
    """A compiled world that gives finite numbers whatever its action is."""
    return probe(lambda obs, action: jnp.where(action > 0, 1.0, 0.0), 7, lambda time, sign: time)(num_envs)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("make", [lambda: hides_its_action(2), lambda: bridge.from_factory(Counting, 2)])
def test_an_action_that_is_not_finite_is_not_taken_and_nothing_is_stored(make, learns):
    env, start = make(), 30 if learns else 5000
    trainer = make_trainer(env, with_train(total_steps=10_000, start_steps=20, update_after=start))
    runner = trainer.init(jax.random.key(0))
    runner, _ = trainer.run(jax.random.key(1), runner, 20)
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, runner.agent.params.actor)
    jax.block_until_ready(runner)  # its steps are counted, and then no more
    Counting.steps = 0
    for _ in range(3):
        runner = runner._replace(agent=runner.agent._replace(params=runner.agent.params._replace(actor=broken)))
        broken = jax.tree.map(jnp.copy, broken)
        runner, metrics = trainer.run(jax.random.key(1), runner, 50)
        assert not metrics.step.any()
    assert (int(runner.step), int(runner.replay.size), Counting.steps) == (20, 10, 0)
    assert faults.fault_kind(runner) == faults.Fault.ACTION_NOT_FINITE
    assert faults.faulty_envs(runner) == []
    assert faults.name_fault(runner).startswith("an action was not finite after step 20, and was not taken; its param")


def test_the_fault_of_a_dict_names_its_part():
    class Dim(Seeing):
        def step(self, action):
            obs, *rest = super().step(action)
            if self.time == 2:
                obs["joints"]["time"] = np.float64(1e39)
            return obs, *rest

    env = bridge.from_factory(Dim)
    trainer = make_trainer(env, SMALL)
    runner, _ = trainer.run(jax.random.key(1), trainer.init(jax.random.key(0)), 20)
    assert faults.name_fault(runner) == (
        "environment 0 gave an observation['joints']['time'] that is not finite in float32 after step 1; "
        "nothing of that step was stored"
    )
    assert faults.faulty_envs(runner) == [0]
    assert re.fullmatch(r"in episode 0 \(seed \d+\), step 2 of it, on the action \[.*\]", env.describe(0))


# Finite, and its square is not: every gradient overflows.
HUGE = probe(lambda obs, action: 1e30 + action, length=7)(2)


@pytest.mark.parametrize("updates_per_step", [1, 3])
def test_so_many_skipped_updates_in_a_row_end_the_run_with_the_last_finite_parameters(updates_per_step):
    config = with_train(updates_per_step=updates_per_step, max_skipped_updates=6)
    trainer = make_trainer(HUGE, config)
    start = jax.tree.map(np.asarray, trainer.init(jax.random.key(0)).agent)
    runner, key = trainer.init(jax.random.key(0)), jax.random.key(1)
    for _ in range(5):
        runner, _ = trainer.run(key, runner, 50)
    taken = 30 + 2 * 6 // updates_per_step
    assert (int(runner.step), int(runner.agent.step)) == (taken, 6)
    assert int(runner.replay.size) * 2 == taken, "the last step is stored, too"
    assert faults.fault_kind(runner) == faults.Fault.NOT_LEARNING
    assert faults.name_fault(runner) == (
        "6 updates in a row were skipped, since a gradient was not finite; the parameters are the last finite ones; "
        "lower agent.actor_lr or agent.critic_lr, or clip with agent.max_grad_norm"
    )
    assert faults.faulty_envs(runner) == []
    for name in ("params", "target_params", "opt_state"):
        chex.assert_trees_all_equal(getattr(runner.agent, name), getattr(start, name))


def test_skipped_updates_fewer_than_that_are_only_counted():
    trainer = make_trainer(HUGE, with_train(max_skipped_updates=16))
    runner, _ = run_to(trainer, 60)
    assert faults.fault_kind(runner) == faults.Fault.HEALTHY
    assert faults.name_fault(runner) is None
    assert tuple(map(int, runner.agent.skipped)) == (15, 15)


def test_environments_that_fail_leave_the_runner_whole():
    class Failing(Scripted):
        def step(self, action):
            if self.episode % 3 == 0 and self.time == 1:
                raise RuntimeError("out of battery")
            return super().step(action)

    env = bridge.from_factory(Failing, 2)
    trainer = make_trainer(env, SMALL)
    runner, _ = trainer.run(jax.random.key(1), trainer.init(jax.random.key(0)), 20)
    assert faults.fault_kind(runner) == faults.Fault.ENV_FAILED
    assert faults.name_fault(runner) == f"the environment failed after step {int(runner.step)}"
    assert int(runner.replay.size) * 2 == int(runner.step)
    assert "out of battery" in str(env.failure())


def test_after_the_first_chunks_nothing_is_compiled(trainer):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
    runner, _ = run_to(trainer, 60)
    jnp.sin(jnp.arange(61.0))
    assert "/jax/core/compile/jaxpr_trace_duration" in compiled, "the listener hears compilations"
    compiled.clear()
    for steps in (50, 13, 50, 1, 50, 27, 50, 50, 3, 50):
        runner, _ = trainer.run(jax.random.key(1), runner, steps)
    assert not [event for event in compiled if "compile" in event]


def chunk_of(env, config, num_updates):
    """The compiled chunk itself, and the shapes of its runner."""
    trainer = make_trainer(env, config)
    exploration = make_exploration(trainer.agent.act, env.spec.action_dim, config.exploration)
    learner = make_learner(trainer.agent, trainer.replay, num_updates) if num_updates else idle_learner(trainer.replay)
    chunk = loop.make_chunk(loop.make_step(env, trainer.agent, exploration, learner, 100), learner, 10)
    runner = jax.eval_shape(trainer.init, jax.random.key(0))
    return compile_to_read(jax.jit(chunk, donate_argnums=1), jax.random.key(0), runner, 10)


@pytest.mark.parametrize("kernels", ["auto", "xla"])
@pytest.mark.parametrize("make", [lambda: world(), lambda: bridge.from_factory(Scripted)])
def test_the_compiled_loop_copies_no_parameters(make, kernels):
    """Acting reads them before the update changes them in place."""
    agent = dataclasses.replace(SMALL.agent, hidden_sizes=(96, 104), kernels=kernels)
    text = chunk_of(make(), dataclasses.replace(SMALL, agent=agent), 1).as_text()
    assert re.search(r"f32\[(1,)?96,104\]", text)
    assert not re.findall(r"= f32\[(?:1,)?96,104\]\S* copy\(", text)


class Camera(Scripted):
    """Images: another dtype in the rows."""

    observation_space = bridge.gymnasium.spaces.Box(0, 255, (4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    ("factory", "n_step", "num_envs", "num_updates"),
    [(Scripted, 1, 1, 1), (Camera, 1, 1, 1), (Scripted, 3, 4, 2), (Camera, 3, 4, 2), (Scripted, 1, 1, 0)],
)
def test_the_compiled_loop_copies_no_array_of_the_capacity(factory, n_step, num_envs, num_updates):
    capacity = 1_000_000
    replay = ReplayConfig(capacity=capacity, batch_size=4, n_step=n_step)
    program = chunk_of(bridge.from_factory(factory, num_envs), dataclasses.replace(SMALL, replay=replay), num_updates)
    rows = rf"\[{capacity // num_envs},{num_envs},\d+\]"
    text = program.as_text()
    assert re.search(rows, text)
    assert not re.findall(rf"= \w+{rows}\S* copy\(.*", text)


def ready_at_once(branch):
    """Kernels of a computation that wait for no other; what only renames or takes apart its inputs is no kernel."""
    given, ready = set(), []
    for line in branch:
        name, operation, operands = re.match(r"(?:ROOT )?%(\S+) = .*? ([\w-]+)\((.*?)\)", line).groups()
        waits = set(re.findall(r"%([\w.-]+)", operands)) - given
        if not waits and operation in {"parameter", "constant", "get-tuple-element", "bitcast", "tuple"}:
            given.add(name)
        elif not waits:
            ready.append(name)
    return ready


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is no second thread")
def test_neither_a_batch_nor_a_step_of_the_loop_wakes_another_thread():
    """On two processors it would take one of them from the program, or from Python that steps an environment."""
    replay = ReplayConfig(capacity=1_000_000, batch_size=64)
    text = chunk_of(bridge.from_factory(Scripted), dataclasses.replace(SMALL, replay=replay), 1).as_text()
    assert not re.search(r'while/body/.*outer_dimension_partitions":\["', text)
    computations = dict(re.findall(r"^%(\S+) \(.*?\) -> .*? \{\n(.*?)\n\}", text, re.DOTALL | re.MULTILINE))
    branches = re.findall(r" conditional\(.*branch_computations=\{%(\S+), %(\S+)\}", text)
    lines = [computations[name].splitlines() for branch in branches for name in branch]
    draws = [draw for draw in lines if any("dynamic-update-slice_fusion" in line and "vmap" in line for line in draw)]
    assert draws
    assert max(len(ready_at_once([line.strip() for line in draw])) for draw in draws) <= 8


def test_resident_memory_grows_by_the_declared_bytes():
    replay = ReplayConfig(capacity=8_000_000, batch_size=4)
    trainer = make_trainer(world(), dataclasses.replace(SMALL, replay=replay))
    run_to(trainer, 100)  # compiles; its runner is gone afterwards
    process = psutil.Process()
    before = process.memory_info().rss
    runner, _ = run_to(trainer, 400)
    grown = process.memory_info().rss - before
    assert trainer.replay.num_bytes == 8_000_000 * 6 * 4 + 8, "and two counters"
    assert grown == pytest.approx(trainer.replay.num_bytes, rel=0.05)
    del runner


def test_wrong_settings_are_refused_before_anything_is_traced():
    with pytest.raises(ConfigError, match=r"agent\.tau = 1\.5 must be in \(0, 1\]"):
        make_trainer(world(), dataclasses.replace(SMALL, agent=DDPGConfig(tau=1.5)))


def test_steps_of_all_environments_are_counted_up_to_what_int32_holds():
    """Of the environment's own number: `config.train.num_envs` is not read."""
    many = with_train(total_steps=2**31 - 1)
    with pytest.raises(
        ConfigError, match=r"total_steps = 2147483647 must be at most 2147483646 with train.num_envs = 3"
    ):
        make_trainer(world(3), many)
    trainer = make_trainer(world(3), SMALL)
    runner = trainer.init(jax.random.key(0))
    runner, metrics = trainer.run(jax.random.key(1), runner._replace(step=jnp.int32(2**31 - 5)), 100)
    assert int(runner.step) == 2**31 - 2
    runner, metrics = trainer.run(jax.random.key(1), runner, 100)
    assert int(runner.step) == 2**31 - 2, "and not below 0"
    assert not np.asarray(metrics.step).any()


def test_there_is_one_place_where_environments_are_stepped_for_training():
    import pathlib

    root = pathlib.Path(loop.__file__).parents[1]
    places = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        for _ in re.findall(r"\benv\.step(?:_while)?\b", path.read_text())
        if not path.is_relative_to(root / "envs")
    ]
    assert places == ["runs/watch/episode.py", "training/evaluation.py", "training/loop.py"]
