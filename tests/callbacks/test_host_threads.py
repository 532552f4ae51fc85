"""Where Python runs for a program: never in a thread that a program needs, and computing as it always does."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.callbacks import host_call
from ddpg_jax.callbacks.deferred_call import make_blocking_call, make_deferred_call
from ddpg_jax.callbacks.foreign_call import make_foreign_call
from ddpg_jax.envs.gymnasium import from_factory
from ddpg_jax.native import library

SCALAR, MATRIX = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((64, 64), jnp.float32)
NEEDS_C = pytest.mark.skipif(not library.are_usable(), reason="the kernels were not compiled")
DOORS = [make_foreign_call, pytest.param(make_blocking_call, marks=NEEDS_C), host_call.make_call_on_copies]
LIMIT = 100  # seconds, of what takes ten

# Each level's function runs a program that calls the level below; two threads do so at a time.
NESTED = """
import sys, threading
import jax, jax.numpy as jnp, numpy as np
from ddpg_jax.callbacks.deferred_call import make_blocking_call
from ddpg_jax.callbacks.foreign_call import make_foreign_call
from tests.callbacks.test_host_threads import MATRIX
make, levels = {"C": make_blocking_call, "Python": make_foreign_call}[sys.argv[1]], int(sys.argv[2])
policy = jax.jit(lambda x: jnp.tanh(x @ x) @ x)

def make_function(level):
    if level == 0:
        return policy
    below = make_function(level - 1)

    def step(outputs, x):
        outputs[0][...] = np.asarray(below(jnp.asarray(x)))

    call = make(step, [MATRIX], [MATRIX])
    return jax.jit(lambda x: jax.lax.fori_loop(0, 30 if level == levels else 2, lambda i, x: call(x)[0] + x @ x, x))

def run():
    function = make_function(levels)
    function(jnp.full(MATRIX.shape, 0.01)).block_until_ready()

threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("door", ["Python", pytest.param("C", marks=NEEDS_C)])
def test_programs_of_functions_that_programs_call_find_threads(request, door, levels):
    assert run_script(request, NESTED, door, str(levels)) == "done\n"


# An opponent's policy, an update of it, and a program that is compiled in the step.
SELF_PLAY = """
import sys
import gymnasium, jax, jax.numpy as jnp, numpy as np
from ddpg_jax import Config, EnvSpec, ReplayConfig, TrainConfig, ddpg, make_trainer
from ddpg_jax.config import DDPGConfig
from ddpg_jax.envs.gymnasium import from_factory

rows, num_envs, kernels = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
agent_config = DDPGConfig(hidden_sizes=(64, 64), normalization="none", kernels=kernels)
opponent = ddpg(EnvSpec(jax.ShapeDtypeStruct((3,), jnp.float32), np.array([-2.0]), np.array([2.0])), agent_config)
params, act = opponent.init(jax.random.key(0)).params.actor, jax.jit(opponent.act)

@jax.jit
def learn(params, obs):
    def descend(params, _):
        grads = jax.grad(lambda params: (opponent.act(params, obs) ** 2).mean())(params)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads), ()
    return jax.lax.scan(descend, params, None, length=3)[0]

class SelfPlay(gymnasium.Wrapper):
    count = 0
    def step(self, action):
        SelfPlay.count += 1
        obs, *rest = super().step(action)
        seen = jnp.broadcast_to(jnp.asarray(obs), (rows, 3))
        jax.block_until_ready((act(params, seen), learn(params, seen)))
        if SelfPlay.count % 100 == 0:
            jax.jit(lambda obs, scale=SelfPlay.count: obs * scale)(seen).block_until_ready()
        return obs, *rest

config = Config(
    agent=agent_config,
    replay=ReplayConfig(capacity=1_000, batch_size=64),
    train=TrainConfig(num_envs=num_envs, total_steps=300, start_steps=50, update_after=50, updates_per_step=3),
)
env = from_factory(lambda: SelfPlay(gymnasium.make("Pendulum-v1")), num_envs)
trainer, key = make_trainer(env, config), jax.random.key(0)
runner = trainer.init(key)
while int(runner.step) < 300:
    runner, _ = trainer.run(key, runner)
print("done")
"""


@pytest.mark.parametrize(("rows", "num_envs", "kernels"), [(64, 1, "xla"), (256, 2, "auto")])
def test_an_environment_may_play_learn_and_compile_in_its_step(request, rows, num_envs, kernels):
    assert run_script(request, SELF_PLAY, str(rows), str(num_envs), kernels) == "done\n"


def run_script(request, script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, text=True, cwd=request.config.rootpath, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_threads_of_xla(run, number):
    """Run a program on a number with so much to do beside that XLA does not run it in this thread."""
    program = jax.jit(lambda matrix, number: run(number + 0 * (matrix @ matrix)[0, 0]))
    return np.asarray(program(jnp.zeros(MATRIX.shape), number))


def halve(outputs, number):
    outputs[0][...] = number * np.float32(0.5)


@pytest.mark.parametrize("make", DOORS)
def test_denormal_numbers_are_numbers(make):
    call, tiny = make(halve, [SCALAR], [SCALAR]), np.float32(3e-38)
    np.testing.assert_array_equal(in_threads_of_xla(lambda number: call(number)[0], tiny), tiny / 2)
    assert np.float32(3e-38) / 2 > 0  # here, too, afterwards


@NEEDS_C
def test_denormal_numbers_are_numbers_beside_an_update():
    deferred, tiny = make_deferred_call(halve, [SCALAR], [SCALAR]), np.float32(3e-38)
    run = lambda number: deferred((number,), lambda wait: ((), wait(jnp.float32(0))))[1][0]  # noqa: E731
    np.testing.assert_array_equal(in_threads_of_xla(run, tiny), tiny / 2)


@pytest.mark.parametrize("make", DOORS)
def test_a_program_flushes_denormal_numbers_before_and_after_a_call_alike(make):
    """XLA's threads take them for 0; those in which a program goes on after a call do the same."""
    call = make(lambda outputs, number: outputs[0].fill(0), [SCALAR], [SCALAR])

    def run(numbers):
        (zero,) = call(numbers[0])
        return numbers * 0.5 + zero

    tiny = np.full(100, 3e-38, np.float32)
    without = in_threads_of_xla(lambda numbers: numbers * 0.5 + 0.0, tiny)
    np.testing.assert_array_equal(in_threads_of_xla(run, tiny), without)


class Halving(gymnasium.Env):
    """A state that halves each step, until it is less than any normal number."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        self.state = np.full(1, 1e-37, np.float32)
        return self.state.copy(), {}

    def step(self, action):
        self.state = self.state * np.float32(0.5)
        return self.state.copy(), 0.0, False, False, {}


def test_an_episode_is_played_again_to_the_bit_where_numbers_are_denormal():
    env = from_factory(Halving)
    state, obs = jax.jit(env.reset)(jax.random.key(0))
    for _ in range(6):
        state, obs, _ = jax.jit(env.step)(jax.random.key(1), state, jnp.zeros((1, 1)))
    assert float(np.asarray(obs)[0, 0]) == float(np.float32(1e-37) / 64) > 0
    length = np.array([6])
    restored = env.restore(state, obs, length, env.save(length))
    assert restored.exact.all(), restored.reason


class Unreadable(BaseException):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BaseException("half a pair: \ud800"), r"BaseException: half a pair: \\ud800"),
        (Unreadable(), r"Unreadable: \(its text cannot be read: RuntimeError\)"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("make", DOORS[:2])
def test_whatever_is_raised_comes_out_of_the_program(make, error, text):
    def fail(outputs, number):
        raise error

    call = make(fail, [SCALAR], [SCALAR])
    with pytest.raises(jax.errors.JaxRuntimeError, match=text):
        jax.block_until_ready(jax.jit(lambda number: call(number)[0])(1.0))


@pytest.mark.parametrize("make", DOORS[:2])
def test_the_thread_that_starts_a_program_is_not_held(make):
    """Python's own thread answers, so that another function may be called while one waits for it."""
    asked, answered = threading.Event(), threading.Event()

    def wait(outputs, number):
        asked.set()
        outputs[0].fill(answered.wait(30))

    def answer(outputs, number):
        answered.set()
        outputs[0].fill(asked.is_set())

    waits, answers = make(wait, [SCALAR], [SCALAR]), make(answer, [SCALAR], [SCALAR])
    with ThreadPoolExecutor() as pool:
        first = pool.submit(jax.jit(lambda number: waits(number)[0]), 1.0)
        assert asked.wait(30)
        assert jax.jit(lambda number: answers(number)[0])(1.0) == first.result() == 1


HANGING = """
import signal, sys, time
import jax, jax.numpy as jnp
from ddpg_jax.callbacks.host_call import make_host_call
scalar = jax.ShapeDtypeStruct((), jnp.float32)

# Whoever starts the tests in the background has Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def hang(outputs, number):
    print("hangs", flush=True)
    {hang}

call = make_host_call(hang, [scalar], [scalar])
program = jax.jit(lambda number: call((jnp.full((64, 64), number) @ jnp.ones((64, 64)))[0, 0])[0])
result = program(1.0)
time.sleep(1)
"""


@pytest.mark.parametrize("hang", ["time.sleep(1000)", "while True: pass"])
def test_ctrl_c_ends_a_process_that_waits_for_a_function_at_its_end(request, hang):
    """With native code and without, at once."""
    script = HANGING.format(hang=hang)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=request.config.rootpath, env={**os.environ, "DDPG_JAX_NATIVE": native},
        )
        for native in ("1", "0")
    ]  # fmt: skip
    try:
        assert [process.stdout.readline() for process in processes] == ["hangs\n"] * 2
        time.sleep(2)  # by then they are at their ends
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            assert process.wait(30) == -signal.SIGINT, process.stderr.read()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


SHORT = """
import time
import jax, jax.numpy as jnp
from ddpg_jax.callbacks.host_call import make_host_call
scalar = jax.ShapeDtypeStruct((), jnp.float32)
call = make_host_call(lambda outputs, number: None, [scalar], [scalar])
time.sleep({seconds})
"""


@pytest.mark.parametrize("native", ["1", "0"])
def test_a_process_that_ends_while_a_thread_is_being_started_ends_well(request, native):
    # Moments before, while and after the thread's program is compiled.
    scripts = [
        subprocess.Popen(
            [sys.executable, "-c", SHORT.format(seconds=seconds)], cwd=request.config.rootpath,
            env={**os.environ, "DDPG_JAX_NATIVE": native},
        )
        for seconds in (0, 0.02, 0.05, 0.1)
    ]  # fmt: skip
    assert [script.wait(60) for script in scripts] == [0, 0, 0, 0]


@pytest.mark.skipif(not library.are_usable(), reason="without C, JAX itself waits at the end for what its parent runs")
def test_a_process_that_was_forked_meanwhile_ends(request):
    script = HANGING.format(hang="time.sleep(4)") + FORK
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        cwd=request.config.rootpath,
        timeout=LIMIT,
    )
    assert done.stdout.splitlines()[-1] == "0", done.stderr


FORK = """
import os, signal
child = os.fork()
if child == 0:
    import atexit
    signal.alarm(20)
    os._exit(0 if not atexit._run_exitfuncs() else 1)
print(os.waitpid(child, 0)[1])
"""
