"""A host call in two halves: what it gives, what goes on meanwhile, and what becomes of its failures."""

import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import compile_as_users_do

from ddpg_jax import Config, DDPGConfig, ReplayConfig, TrainConfig, envs, make_trainer
from ddpg_jax.agent.exploration import make_exploration
from ddpg_jax.callbacks.deferred_call import CALLS, make_deferred_call
from ddpg_jax.callbacks.foreign_call import make_foreign_call
from ddpg_jax.native import library
from ddpg_jax.training.learner import make_learner
from ddpg_jax.training.loop import make_chunk, make_step

pytestmark = pytest.mark.skipif(not library.are_usable(), reason="the kernels were not compiled for this machine")

VECTOR, COUNT = jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)


def double(outputs, vector, count):
    np.multiply(vector, 2, outputs[0])
    outputs[1][...] = count + 1


def add_up(deferred, vector, count):
    """Ten calls in a loop, each on what the one before gave, with work of its own beside it."""

    def step(carry, _):
        vector, count, total = carry

        def work(wait):
            more = total + wait(jnp.float32(1))
            return more, more

        total, (vector, count) = deferred((vector, count), work)
        return (vector, count, total), count

    return jax.lax.scan(step, (vector, count, jnp.float32(0)), None, length=10)


def test_calls_in_a_loop_give_what_they_give_one_by_one():
    deferred = make_deferred_call(double, [VECTOR, COUNT], [VECTOR, COUNT])
    (vector, count, total), counts = jax.jit(lambda *args: add_up(deferred, *args))(jnp.arange(3.0), jnp.arange(2))
    np.testing.assert_array_equal(vector, np.arange(3) * 1024)
    np.testing.assert_array_equal(count, [10, 11])
    np.testing.assert_array_equal(counts[:, 0], np.arange(1, 11))
    assert total == 10


def test_the_work_is_done_while_the_call_is_under_way():
    """The call waits for the work, which a call that is waited for at once would do for ever."""
    worked, waited = threading.Event(), []

    def patient(outputs, vector):
        waited.append(worked.wait(30))
        outputs[0][...] = vector

    def tell(outputs, number):
        worked.set()
        outputs[0].fill(0)

    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    deferred, tell_host = make_deferred_call(patient, [VECTOR], [VECTOR]), make_foreign_call(tell, [scalar], [scalar])

    def work(wait):
        (done,) = tell_host(wait(jnp.float32(0)))
        return done, done

    jax.block_until_ready(jax.jit(lambda vector: deferred((vector,), work))(jnp.ones(3)))
    assert waited == [True]


def test_what_it_raises_comes_out_of_the_program_and_the_next_call_is_made():
    calls = []

    def fail_once(outputs, vector):
        calls.append(vector.copy())
        if len(calls) == 1:
            raise RuntimeError("the first one")
        outputs[0][...] = vector

    deferred = make_deferred_call(fail_once, [VECTOR], [VECTOR])
    program = jax.jit(lambda vector: deferred((vector,), lambda wait: ((), wait(jnp.float32(0))))[1][0])
    with pytest.raises(jax.errors.JaxRuntimeError, match="RuntimeError: the first one"):
        jax.block_until_ready(program(jnp.ones(3)))
    np.testing.assert_array_equal(program(jnp.full(3, 2.0)), 2)


def test_a_program_that_outlives_it_fails_and_calls_nothing_else():
    def compile_one():
        deferred = make_deferred_call(double, [VECTOR, COUNT], [VECTOR, COUNT])
        return jax.jit(lambda *args: add_up(deferred, *args)).lower(VECTOR, COUNT).compile()

    known, compiled = len(CALLS), compile_one()
    jax.clear_caches()
    gc.collect()
    assert len(CALLS) <= known
    other = make_deferred_call(double, [VECTOR, COUNT], [VECTOR, COUNT])
    with pytest.raises(jax.errors.JaxRuntimeError, match="the environment of this program is gone"):
        jax.block_until_ready(compiled(jnp.ones(3), jnp.arange(2, dtype=jnp.int32)))
    del other


def test_what_does_not_fit_is_refused_before_it_is_compiled():
    deferred = make_deferred_call(double, [VECTOR, COUNT], [VECTOR, COUNT])
    with pytest.raises(TypeError, match="the call was built for"):
        jax.jit(lambda *args: add_up(deferred, *args))(jnp.ones(4), jnp.arange(2))


CONFIG = Config(
    agent=DDPGConfig(hidden_sizes=(16, 16), normalization="none"),
    replay=ReplayConfig(capacity=1_000, batch_size=32),
    train=TrainConfig(num_envs=2),
)


def learn(env):
    """What a loop has learned and stored after 800 steps; compiled as users do, since XLA in haste rounds otherwise."""
    trainer, key = make_trainer(env, CONFIG), jax.random.key(0)
    exploration = make_exploration(trainer.agent.act, env.spec.action_dim, CONFIG.exploration)
    learner = make_learner(trainer.agent, trainer.replay)
    step = make_step(env, trainer.agent, exploration, learner, CONFIG.train.max_skipped_updates)
    runner = trainer.init(key)
    chunk = compile_as_users_do(jax.jit(make_chunk(step, learner, 400), donate_argnums=1), key, runner, 400)
    runner, _ = chunk(key, runner, 400)
    assert runner.step == 800
    return jax.tree.map(np.asarray, (runner.agent, runner.obs, runner.replay))


def test_training_learns_the_same_whether_environments_step_beside_the_update_or_before_it():
    with closing(envs.make("Pendulum-v1", 2)) as env:
        assert env.step_beside is not None
        beside = learn(env)
        before = learn(env._replace(step_beside=None))
    jax.tree.map(np.testing.assert_array_equal, beside, before)


ALONE = """
import os, sys
sys.path.append("tests")
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, jax.numpy as jnp, numpy as np
from tests.callbacks.test_deferred_call import COUNT, VECTOR, add_up, double, make_deferred_call
deferred = make_deferred_call(double, [VECTOR, COUNT], [VECTOR, COUNT])
print(jax.jit(lambda *args: add_up(deferred, *args))(jnp.arange(3.0), jnp.arange(2))[0][1].tolist())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process cannot be pinned here")
def test_it_needs_no_second_processor(request):
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, cwd=request.config.rootpath)
    assert done.stdout == "[10, 11]\n", done.stderr


def test_a_call_whose_end_is_left_out_is_over_before_the_next_begins():
    """JAX leaves out an end whose results nobody reads; inputs of megabytes are copied while the call before begins."""
    large, under_way, overlaps = jax.ShapeDtypeStruct((5_000_000,), jnp.float32), [], []

    def slow(outputs, vector):
        overlaps.append(len(under_way))
        under_way.append(vector[0])
        time.sleep(0.01)
        under_way.pop()
        outputs[0][...] = 0

    deferred = make_deferred_call(slow, [VECTOR], [large])

    def run(vector):
        def begin(total, _):
            return deferred((vector,), lambda wait: (wait(total) + 1, total))[0], ()

        return jax.lax.scan(begin, jnp.float32(0), None, length=10)[0]

    assert jax.jit(run)(jnp.ones(large.shape)) == 10
    # The program does not wait for calls whose end is left out: all ten are begun, and run one after the other.
    deadline = time.monotonic() + 60
    while (len(overlaps) < 10 or under_way) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert overlaps == [0] * 10


ENDLESS = """
import time
import gymnasium
import jax
from ddpg_jax import Config, TrainConfig, make_trainer
from ddpg_jax.config import DDPGConfig
from ddpg_jax.envs.gymnasium import from_factory

class Slow(gymnasium.Wrapper):
    def step(self, action):
        time.sleep(0.01)
        return super().step(action)

config = Config(
    agent=DDPGConfig(hidden_sizes=(8,)),
    train=TrainConfig(num_envs=1, start_steps=1, update_after=1 if {beside} else 10**6, log_every=10**4),
)
env = from_factory(lambda: Slow(gymnasium.make("Pendulum-v1")))
trainer, key = make_trainer(env, config), jax.random.key(0)
runner, _ = trainer.run(key, trainer.init(key), 1)
print(int(runner.step), flush=True)
runner, _ = trainer.run(key, runner)
time.sleep(0.5)
"""


@pytest.mark.parametrize("beside", [True, False])
def test_a_process_ends_though_a_program_of_it_still_steps(request, beside):
    script = ENDLESS.format(beside=beside)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=request.config.rootpath, timeout=60
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


def test_a_slow_call_leaves_the_processors_to_others():
    """The program naps while it waits: its threads use far less of a processor than the call lasts."""

    def sleep(outputs, vector):
        time.sleep(1)
        outputs[0][...] = vector

    deferred = make_deferred_call(sleep, [VECTOR], [VECTOR])
    program = jax.jit(lambda vector: deferred((vector,), lambda wait: ((), wait(jnp.float32(0))))[1][0])
    compiled, vector = program.lower(VECTOR).compile(), jnp.ones(3)
    before = time.process_time()
    np.testing.assert_array_equal(compiled(vector), 1)
    assert time.process_time() - before < 0.5


def test_environments_are_made_and_forgotten_by_many_threads_at_once():
    def make_and_call(index):
        for _ in range(20):
            deferred = make_deferred_call(double, [VECTOR, COUNT], [VECTOR, COUNT])
            del deferred
        deferred = make_deferred_call(double, [VECTOR, COUNT], [VECTOR, COUNT])
        return jax.jit(lambda *args: add_up(deferred, *args))(jnp.full(3, float(index)), jnp.arange(2))[0][0]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(make_and_call, range(4)))
    np.testing.assert_array_equal(found, [[1024.0 * index] * 3 for index in range(4)])


class Help(ctypes.Structure):
    """Work of a kernel, as `native/help.h` declares it."""

    _fields_ = (("run", ctypes.CFUNCTYPE(None, ctypes.c_void_p)), ("mode", ctypes.c_uint))


def test_a_thread_of_python_s_shares_the_kernels_work_once_its_call_is_done():
    functions, done, offers = library.load().functions, threading.Event(), []
    works = [Help(Help._fields_[0][1](lambda _: done.set()), 0x1F80) for _ in range(2)]

    def offer(outputs, vector):
        offers.append([functions.ddpg_jax_offer(ctypes.byref(work)) for work in works])
        offers.append([functions.ddpg_jax_withdraw(ctypes.byref(work)) for work in works[::-1]])
        offers.append([functions.ddpg_jax_offer(ctypes.byref(works[1])), done.is_set()])
        outputs[0][...] = vector

    deferred = make_deferred_call(offer, [VECTOR], [VECTOR])
    jax.block_until_ready(jax.jit(lambda vector: deferred((vector,), lambda wait: ((), wait(vector[0]))))(jnp.ones(3)))
    # The second is not taken beside the first, and what nobody offered cannot be taken back.
    assert offers == [[1, 0], [0, 1], [1, False]]
    assert done.wait(10)
    assert functions.ddpg_jax_withdraw(ctypes.byref(works[1])) == 0


def test_no_work_is_offered_where_every_thread_of_python_s_sleeps():
    functions = library.load().functions
    work = Help(Help._fields_[0][1](lambda _: None), 0x1F80)
    deadline = time.monotonic() + 10
    while functions.ddpg_jax_offer(ctypes.byref(work)):
        while not functions.ddpg_jax_withdraw(ctypes.byref(work)):
            assert time.monotonic() < deadline
        time.sleep(0.01)
