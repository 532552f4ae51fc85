import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.callbacks import foreign_call, host_call
from ddpg_jax.callbacks.deferred_call import make_blocking_call
from ddpg_jax.callbacks.foreign_call import MOST_VIEWS, make_foreign_call
from ddpg_jax.native import library

INPUTS = [jax.ShapeDtypeStruct((2, 3), jnp.float32), jax.ShapeDtypeStruct((), jnp.uint32)]
OUTPUTS = [jax.ShapeDtypeStruct((3, 2), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)]
PROMPT = pytest.param(
    make_blocking_call, marks=pytest.mark.skipif(not library.are_usable(), reason="the kernels were not compiled")
)
FOREIGN = [make_foreign_call, PROMPT]
CALLS = [*FOREIGN, host_call.make_call_on_copies]


def transpose(outputs, matrix, number):
    outputs[0][...] = np.asarray(matrix).T
    outputs[1][...] = int(np.asarray(number)), np.asarray(matrix).sum()


@pytest.mark.parametrize("make", CALLS)
def test_arrays_come_and_go_in_any_program(make):
    call = make(transpose, OUTPUTS, INPUTS)
    matrix = jnp.arange(6.0).reshape(2, 3)

    def step(matrix, number):
        turned, numbers = call(matrix, number.astype(jnp.uint32))
        return turned.T + 1, numbers

    last, numbers = jax.jit(lambda matrix: jax.lax.scan(step, matrix, jnp.arange(4)))(matrix)
    np.testing.assert_array_equal(last, matrix + 4)
    np.testing.assert_array_equal(numbers, [[0, 15], [1, 21], [2, 27], [3, 33]])
    turned = jax.jit(lambda go: jax.lax.cond(go, lambda: call(matrix, jnp.uint32(1))[0], lambda: jnp.zeros((3, 2))))
    np.testing.assert_array_equal(turned(True), matrix.T)
    np.testing.assert_array_equal(turned(False), 0)


@pytest.mark.parametrize("make", FOREIGN)
def test_what_was_written_may_be_read_in_another_shape(make):
    # The second call reads the very memory that the first one wrote.
    call, number = make(transpose, OUTPUTS, INPUTS), jnp.uint32(0)
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    twice = jax.jit(lambda matrix: call(call(matrix, number)[0].reshape(2, 3), number)[0])
    np.testing.assert_array_equal(twice(matrix), matrix.T.reshape(2, 3).T)


@pytest.mark.parametrize("make", CALLS)
def test_every_call_is_made_though_it_is_like_another(make):
    calls = []

    def count(outputs, *inputs):
        calls.append(len(inputs))
        for output in outputs:
            output.fill(len(calls))

    call = make(count, OUTPUTS, INPUTS)
    three = jax.jit(lambda matrix: [call(matrix, jnp.uint32(1))[1] for _ in range(3)])
    assert sorted(int(numbers[0]) for numbers in three(jnp.zeros((2, 3)))) == [1, 2, 3]
    assert calls == [2, 2, 2]


@PROMPT.marks[0]
def test_a_program_with_calls_has_no_effect_that_jax_knows_of():
    """By which it would be started from Python, a millisecond each time."""
    call = make_blocking_call(transpose, OUTPUTS, INPUTS)
    assert not jax.make_jaxpr(call)(jnp.zeros((2, 3)), jnp.uint32(0)).effects
    np.testing.assert_array_equal(call(jnp.ones((2, 3)), jnp.uint32(0))[1], [0, 6])  # outside a program


@pytest.mark.parametrize("make", FOREIGN)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32"])
def test_every_dtype_arrives_as_it_was(make, dtype):
    struct = jax.ShapeDtypeStruct((2, 2), dtype)
    call = make(lambda outputs, array: np.copyto(outputs[0], array), [struct], [struct])
    values = np.array([[0, 1], [3, 100]]).astype(dtype)
    (got,) = jax.jit(call)(values)
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got, values)


@pytest.mark.parametrize("make", FOREIGN)
def test_the_same_in_64_bits(make):
    with jax.enable_x64(True):
        for dtype in ("float64", "int64"):
            struct = jax.ShapeDtypeStruct((3,), dtype)
            call = make(lambda outputs, array: np.negative(array, outputs[0]), [struct], [struct])
            np.testing.assert_array_equal(jax.jit(call)(np.arange(3, dtype=dtype))[0], [0, -1, -2])


@pytest.mark.parametrize("make", FOREIGN)
def test_arrays_without_elements_are_no_trouble(make):
    struct = jax.ShapeDtypeStruct((0, 3), jnp.float32)
    call = make(lambda outputs, array: None, [struct], [struct])
    assert jax.jit(call)(jnp.zeros((0, 3)))[0].shape == (0, 3)


@pytest.mark.parametrize("make", FOREIGN)
def test_an_exception_becomes_an_error_that_says_it(make):
    def fail(outputs, *inputs):
        raise OverflowError("seven is too many")

    call = make(fail, OUTPUTS, INPUTS)
    with pytest.raises(jax.errors.JaxRuntimeError, match="OverflowError: seven is too many"):
        jax.block_until_ready(jax.jit(call)(jnp.zeros((2, 3)), jnp.uint32(0)))


@pytest.mark.parametrize("make", FOREIGN)
def test_a_program_that_outlives_its_function_calls_nothing_else(make):
    def compiled_only():
        return jax.jit(make(transpose, OUTPUTS, INPUTS)).lower(*INPUTS).compile()

    compiled = compiled_only()
    jax.clear_caches()
    gc.collect()
    other = make(transpose, OUTPUTS, INPUTS)
    with pytest.raises(jax.errors.JaxRuntimeError, match="the environment of this program is gone"):
        jax.block_until_ready(compiled(jnp.zeros((2, 3)), jnp.uint32(0)))
    del other


@pytest.mark.parametrize("make", CALLS)
@pytest.mark.parametrize(
    "arguments", [(np.zeros((3, 3), np.float32), np.uint32(0)), (np.zeros((2, 3), np.int32), np.uint32(0))]
)
def test_what_does_not_fit_is_refused_before_it_is_compiled(make, arguments):
    with pytest.raises(TypeError, match=r"the call was built for \[\(\(2, 3\), dtype\('float32'\)\)"):
        jax.jit(make(transpose, OUTPUTS, INPUTS))(*arguments)


@pytest.mark.parametrize("make", FOREIGN)
def test_one_call_for_many_worlds_at_once_is_refused(make):
    call = make(transpose, OUTPUTS, INPUTS)
    with pytest.raises(NotImplementedError, match="vmap"):
        jax.vmap(call)(jnp.zeros((4, 2, 3)), jnp.zeros(4, jnp.uint32))


def test_memory_that_xla_used_once_is_not_remembered_for_ever():
    call = make_foreign_call(transpose, OUTPUTS, INPUTS)
    (number,) = [number for number, function in foreign_call.FUNCTIONS.items() if function.call is transpose][-1:]
    compiled, kept = jax.jit(call), []
    for _ in range(3 * MOST_VIEWS):
        kept.append(compiled(np.ones((2, 3), np.float32), np.uint32(0)))
        assert len(foreign_call.FUNCTIONS[number].views) <= MOST_VIEWS
    np.testing.assert_array_equal(jnp.stack([turned for turned, _ in kept]), 1)


@pytest.mark.parametrize("make", FOREIGN)
def test_the_next_process_finds_the_program_in_the_cache(make, tmp_path):
    hits = []
    listen = lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None  # noqa: E731
    jax.monitoring.register_event_listener(listen)
    before, least = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    call = make(transpose, OUTPUTS, INPUTS)
    try:
        use_cache(str(tmp_path), 0.0)
        first = jax.jit(call)(np.ones((2, 3), np.float32), np.uint32(7))
        assert not hits
        jax.clear_caches()
        again = jax.jit(call)(np.ones((2, 3), np.float32), np.uint32(7))
        assert hits
    finally:
        use_cache(before, least)
        jax.monitoring.unregister_event_listener(listen)
    jax.tree.map(np.testing.assert_array_equal, first, again)


def use_cache(folder, least):
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", least)
    jax.experimental.compilation_cache.compilation_cache.reset_cache()
