"""The kernels of multilayer perceptrons against the same layers by XLA, in float64."""

import concurrent.futures
import functools
import itertools
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax import Batch, DDPGConfig, EnvSpec, ddpg
from ddpg_jax.kernels.mlp import Layer, fits, mlp
from ddpg_jax.native import library

pytestmark = pytest.mark.skipif(not library.are_usable(), reason="the kernels were not compiled for this machine")

SPEC = EnvSpec(jax.ShapeDtypeStruct((3,), jnp.float32), np.array([-2.0]), np.array([2.0]))
# Rows and sizes: of Pendulum; neither tiles nor panels filled; several panels of inputs; deep, and many outputs; deep
# with several panels of inputs; one hidden layer; more rows than a block holds; few rows, in blocks of all widths.
SHAPES = [
    (64, (3, 256, 256, 1)),
    (37, (17, 100, 70, 6)),
    (100, (376, 40, 30, 17)),
    (256, (3, 33, 64, 31, 51)),
    (300, (40, 70, 64, 33, 3)),
    (45, (5, 9, 2)),
    (1111, (8, 48, 40, 2)),
    (1, (3, 256, 256, 1)),
    (7, (17, 300, 70, 6)),
    (15, (376, 40, 30, 17)),
    (16, (4, 32, 32, 1)),
]


def make_layers(sizes, seed=0):
    rng = np.random.default_rng(seed)
    shapes = itertools.pairwise(sizes)
    return [Layer(*(rng.normal(size=shape) / shape[0] ** 0.5 for shape in ((i, o), (o,)))) for i, o in shapes]


def in_numpy(x, layers, d_out):
    """Outputs, and the gradient of sum(outputs * d_out) by x and by each layer, in the dtype of the arrays."""
    inputs = [x]
    for kernel, bias in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ kernel + bias, 0))
    out, gradients, dz = inputs[-1] @ layers[-1].kernel + layers[-1].bias, [], d_out
    for h, (kernel, _) in zip(reversed(inputs), reversed(layers), strict=True):
        gradients.append(Layer(h.T @ dz, dz.sum(axis=0)))
        dz = (dz @ kernel.T) * (h > 0) if len(gradients) < len(layers) else dz @ kernel.T
    return out, dz, gradients[::-1]


def single(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def close(found, wanted):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5 * np.abs(other).max())


@pytest.mark.parametrize(("rows", "sizes"), SHAPES)
def test_outputs_and_gradients_are_those_of_the_layers(rows, sizes):
    rng, layers = np.random.default_rng(1), make_layers(sizes)
    x, d_out = rng.normal(size=(rows, sizes[0])), rng.normal(size=(rows, sizes[-1]))
    out, dx, gradients = in_numpy(x, layers, d_out)
    assert fits(single(x), single(layers))
    close(jax.jit(mlp)(single(x), single(layers)), out)
    found, pull_back = jax.vjp(jax.jit(mlp), single(x), single(layers))
    close(found, out)
    close(pull_back(single(d_out)), (dx, gradients))


@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1)])
def test_only_the_gradients_that_are_asked_for_are_computed(wanted):
    x, layers = jnp.ones((64, 3)), single(make_layers((3, 40, 40, 1)))
    text = jax.jit(jax.grad(lambda *args: mlp(*args).sum(), wanted)).lower(x, layers).as_text()
    call = next(line for line in text.splitlines() if "@ddpg_jax_mlp_backward" in line)
    results = re.findall(r"tensor<[^>]*>", call.rpartition("->")[2])
    inputs, kernels = results.count("tensor<64x3xf32>"), results.count("tensor<40x40xf32>")
    assert (inputs, kernels, len(results)) == (0 in wanted, 1 in wanted, (0 in wanted) + 6 * (1 in wanted))


def test_outputs_and_gradients_are_as_exact_as_xlas():
    """Also where float32 is made of three bfloat16 (product_amx.h): the errors beside float64 are like XLA's."""
    rng, layers = np.random.default_rng(2), jax.tree.map(np.float32, make_layers((3, 256, 256, 1)))
    x, d_out = np.float32(rng.normal(size=(256, 3))), np.float32(rng.normal(size=(256, 1)))

    def in_xla(x, layers):
        for kernel, bias in layers[:-1]:
            x = jax.nn.relu(jnp.dot(x, kernel, precision="highest") + bias)
        return jnp.dot(x, layers[-1].kernel, precision="highest") + layers[-1].bias

    exact = jax.tree.leaves(in_numpy(*jax.tree.map(np.float64, (x, layers, d_out))))

    def errors(function):
        out, pull_back = jax.vjp(jax.jit(function), single(x), single(layers))
        found = jax.tree.leaves((out, pull_back(single(d_out))))
        return [np.linalg.norm(one - other) / np.linalg.norm(other) for one, other in zip(found, exact, strict=True)]

    ours, theirs = errors(mlp), errors(in_xla)
    assert max(ours) < 1e-6
    assert np.mean(ours) < 1.25 * np.mean(theirs)


def test_numbers_of_any_size_are_exact():
    """Of a float32's whole range, where products of parts neither overflow nor vanish."""
    scales = 10.0 ** np.linspace(-15, 15, 64)[:, None]
    x, layers = scales * np.ones((64, 3)), make_layers((3, 64, 64, 1))
    layers = [Layer(kernel, np.zeros_like(bias)) for kernel, bias in layers]
    np.testing.assert_allclose(mlp(single(x), single(layers)), in_numpy(x, layers, np.ones((64, 1)))[0], rtol=3e-5)


def test_rows_of_a_vmap_are_those_of_single_calls():
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[single(make_layers((3, 40, 40, 1), i)) for i in (1, 2)])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 64, 3)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda layers, x: (mlp(x, layers) ** 2).mean()))
    rows = [gradient(jax.tree.map(lambda leaf, i=i: leaf[i], stacked), x[i]) for i in (0, 1)]
    found = jax.vmap(gradient)(stacked, x)
    for i in (0, 1):
        close(jax.tree.map(lambda leaf, i=i: leaf[i], found), rows[i])


@pytest.mark.parametrize("rows", [9, 64])
def test_nan_is_passed_on_and_not_hidden_by_relu(rows):
    x, layers = jnp.ones((rows, 3)).at[7, 1].set(jnp.nan), single(make_layers((3, 40, 40, 1)))
    assert np.isnan(mlp(x, layers)[:, 0]).tolist() == [row == 7 for row in range(rows)]
    gradients = jax.grad(lambda layers: mlp(x, layers).sum())(layers)
    assert np.isnan(gradients[-1].kernel).any()


def test_the_same_call_gives_the_same_bits_whoever_takes_which_task():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(256, 3)), jnp.float32)
    layers, gradient = (
        single(make_layers((3, 64, 64, 1))),
        jax.jit(jax.grad(lambda layers: (mlp(x, layers) ** 2).sum())),
    )
    first = jax.tree.leaves(gradient(layers))
    for _ in range(200):
        for one, other in zip(first, jax.tree.leaves(gradient(layers)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_programs_that_run_at_the_same_time_do_not_disturb_each_other():
    layers = single(make_layers((3, 64, 64, 1)))
    batches = jnp.asarray(np.random.default_rng(0).normal(size=(4, 64, 3)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda layers, x: (mlp(x, layers) ** 2).mean()))
    alone = [gradient(layers, x) for x in batches]
    with concurrent.futures.ThreadPoolExecutor(len(batches)) as threads:
        for _ in range(20):
            found = list(threads.map(lambda x: gradient(layers, x), batches))
            jax.tree.map(np.testing.assert_array_equal, found, alone)


@pytest.mark.parametrize(
    ("x", "sizes", "why"),
    [
        (np.ones((0, 3), np.float32), (3, 40, 1), "no rows"),
        (np.ones((64, 3), np.float64), (3, 40, 1), "float64"),
        (np.ones(3, np.float32), (3, 40, 1), "one observation"),
        (np.ones((64, 3), np.float32), (3, 1), "no hidden layer"),
        (np.ones((64, 3), np.float32), (3, *[8] * 20, 1), "more layers than are counted"),
    ],
)
def test_what_does_not_fit_is_left_to_xla(x, sizes, why):
    layers = jax.tree.map(lambda leaf: leaf.astype(np.float32), make_layers(sizes))
    assert not fits(x, layers), why


def test_a_batch_of_open_size_holds_no_kernel_so_that_policies_can_be_exported():
    agent = ddpg(SPEC, DDPGConfig(normalization="none"))
    params = agent.init(jax.random.key(0)).params.actor
    (batch,) = jax.export.symbolic_shape("b")
    obs = jax.ShapeDtypeStruct((batch, 3), jnp.float32)
    exported = jax.export.export(jax.jit(lambda obs: agent.act(params, obs)), platforms=["cpu", "cuda"])(obs)
    assert "ddpg_jax_mlp" not in exported.mlir_module()


def random_batch(rows):
    rng = np.random.default_rng(0)
    shapes = ((rows, 3), (rows, 1), (rows,), (rows,), (rows, 3))
    leaves = [jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32) for shape in shapes]
    return Batch(*leaves, jnp.ones(rows))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_critics": 2, "policy_delay": 2, "target_noise": 0.2, "actor_weight_decay": 0.01},
        {"num_atoms": 11, "lr_decay_updates": 20, "critic_weight_decay": 0.01},
    ],
)
def test_updates_are_those_of_xlas_kernels(options):
    """Ten of them: Adam turns rounding in tiny gradients into steps of its own, so that more would drift."""
    options = {"normalization": "none", "hidden_sizes": (64, 96), "max_grad_norm": 0.1, "actor_lr": 1e-3, **options}
    states, key, batch = [], jax.random.key(0), random_batch(64)
    for kernels in ("auto", "xla"):
        agent = ddpg(SPEC, DDPGConfig(kernels=kernels, **options))
        state, update = agent.init(key), jax.jit(agent.update)
        assert ("ddpg_jax_adam" in update.lower(key, state, batch).as_text()) == (kernels == "auto")
        for count in range(10):
            state, info = update(jax.random.fold_in(key, count), state, batch)
        states.append((state, info))
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    for one, other in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=3e-5)


@pytest.mark.parametrize(("rows", "sizes"), [(64, (0, 40, 2)), (64, (0, 40, 30, 2)), (5, (0, 40, 2)), (64, (3, 40, 0))])
def test_gradients_of_layers_without_inputs_or_outputs(rows, sizes):
    """Where memory was not written, repeated calls after others show it."""
    layers = make_layers((1, *sizes[1:]))
    layers[0] = Layer(layers[0].kernel[: sizes[0]], layers[0].bias) if sizes[0] == 0 else make_layers(sizes)[0]
    x, d_out = np.ones((rows, sizes[0])), np.random.default_rng(0).normal(size=(rows, sizes[-1]))
    out, dx, gradients = in_numpy(x, layers, d_out)
    run = jax.jit(lambda x, layers, d_out: (lambda out, pull: (out, pull(d_out)))(*jax.vjp(mlp, x, layers)))
    for _ in range(3):
        jax.block_until_ready(jnp.full((64, 40), 1e9) + 1)
        found, (found_dx, found_gradients) = run(single(x), single(layers), single(d_out))
        ours, theirs = jax.tree.leaves((found, found_dx, found_gradients)), jax.tree.leaves((out, dx, gradients))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-4)


def penalty(act, params, obs):
    """Gradient by the parameters of the squared gradient by the observations."""
    return jax.grad(lambda params: (jax.grad(lambda obs: act(params, obs).sum())(obs) ** 2).sum())(params)


def in_parts(act, params, obs):
    """Gradient through `shard_map` on a mesh of one device."""
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("rows")
    sharded = jax.shard_map(lambda obs: act(params, obs), mesh=mesh, in_specs=spec, out_specs=spec)
    return jax.grad(lambda obs: (sharded(obs) ** 2).sum())(obs)


def exported(act, params, obs):
    """What a serialised policy of a known batch gives."""
    packed = jax.export.export(jax.jit(act))(params, obs).serialize()
    return jax.export.deserialize(packed).call(params, obs)


DERIVATIVES = {
    "jvp": lambda act, params, obs: jax.jvp(lambda obs: act(params, obs), (obs,), (jnp.cos(obs),)),
    "jvp by the parameters": lambda act, params, obs: jax.jvp(lambda params: act(params, obs), (params,), (params,)),
    "jacobian": lambda act, params, obs: jax.jacfwd(lambda obs: act(params, obs))(obs),
    "hessian": lambda act, params, obs: jax.hessian(lambda obs: act(params, obs).sum())(obs),
    "of each row": lambda act, params, obs: jax.vmap(jax.hessian(lambda row: act(params, row[None]).sum()))(obs),
    "linear map": lambda act, params, obs: jax.linearize(lambda obs: act(params, obs), obs)[1](jnp.cos(obs)),
    "grad of vmap": lambda act, params, obs: jax.grad(lambda x: (jax.vmap(act, (None, 0))(params, x) ** 2).sum())(
        obs.reshape(2, -1, 3)
    ),
    "penalty": penalty,
    "shard_map": in_parts,
    "export": exported,
}


@pytest.mark.parametrize(("name", "jit"), [*((name, name != "export") for name in DERIVATIVES), ("jvp", False)])
def test_every_derivative_and_transformation_is_that_of_xlas_layers(name, jit):
    agents = [ddpg(SPEC, DDPGConfig(normalization="none", hidden_sizes=(9, 7), kernels=k)) for k in ("auto", "xla")]
    params = agents[0].init(jax.random.key(0)).params.actor
    params = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(1), leaf.shape), params)
    obs = jax.random.normal(jax.random.key(2), (18, 3))
    functions = [functools.partial(DERIVATIVES[name], agent.act) for agent in agents]
    ours, theirs = [(jax.jit(function) if jit else function)(params, obs) for function in functions]
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_an_update_can_be_differentiated_and_exported():
    """As learning how to learn asks: the parameters after an update, by the observations that it learned from."""
    agents = [ddpg(SPEC, DDPGConfig(normalization="none", hidden_sizes=(96, 96), kernels=k)) for k in ("auto", "xla")]
    state = agents[0].init(jax.random.key(0))
    rows = jnp.ones(32)
    obs = jax.random.normal(jax.random.key(2), (32, 3))

    def after_update(agent, obs):
        batch = Batch(obs, jnp.ones((32, 1)) * 0.5, rows, rows * 0.9, obs + 1, rows)
        params = agent.update(jax.random.key(3), state, batch)[0].params
        return sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(params))

    ours, theirs = [jax.jit(jax.grad(functools.partial(after_update, agent)))(obs) for agent in agents]
    np.testing.assert_allclose(ours, theirs, rtol=2e-2, atol=1e-4)
    function = jax.jit(functools.partial(after_update, agents[0]))
    again = jax.export.deserialize(jax.export.export(function)(obs).serialize()).call(obs)
    np.testing.assert_allclose(again, function(obs), rtol=1e-5)


THREADS = """
import gc, threading
import jax, jax.numpy as jnp, psutil
from ddpg_jax import DDPGConfig, ddpg
from tests.kernels.test_mlp import SPEC
agent = ddpg(SPEC, DDPGConfig(normalization="none"))
params, obs = agent.init(jax.random.key(0)).params.actor, jnp.ones((4, 3))
act = jax.jit(agent.act)
act(params, obs).block_until_ready()
def request():
    act(params, obs).block_until_ready()
def grow(threads):
    for _ in range(threads):
        thread = threading.Thread(target=request)
        thread.start()
        thread.join()
    gc.collect()
    return psutil.Process().memory_info().rss
before = grow(300)
print((grow(1500) - before) / 1500)
"""


def test_memory_of_a_thread_is_freed_with_it(request):
    """As of a server that acts in a thread for each request: 6 KiB each would be left."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, cwd=request.config.rootpath, timeout=100
    )
    assert float(done.stdout) < 1500, done.stderr
