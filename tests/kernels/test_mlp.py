"""The kernels of multilayer perceptrons against the same layers by XLA, in float64."""

import concurrent.futures
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax import Batch, DDPGConfig, EnvSpec, ddpg
from ddpg_jax.kernels import library
from ddpg_jax.kernels.mlp import Layer, fits, mlp

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
