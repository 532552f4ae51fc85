"""Products of few inputs: the same numbers and derivatives as a matrix product, in both modes and in batches."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.agent.mlp import FEW, multiply, multiply_few


@chex.variants(with_jit=True, without_jit=True)
class ProductTest(chex.TestCase):
    def test_numbers_by_hand(self):
        x, kernel = jnp.array([[1.0, 2.0], [-1.0, 0.5]]), jnp.array([[3.0, 0.0, 1.0], [1.0, -2.0, 0.0]])
        np.testing.assert_array_equal(self.variant(multiply_few)(x, kernel), [[5, -4, 1], [-2.5, -1, -1]])


@pytest.mark.parametrize("inputs", [1, 4, FEW])
@pytest.mark.parametrize("rows", [(), (5,), (2, 3)])
def test_value_and_derivatives_are_those_of_a_matrix_product(inputs, rows):
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = (*rows, inputs), (inputs, 3)
    primals, tangents = (
        tuple(jax.random.normal(key, shape) for key, shape in zip(pair, shapes, strict=True))
        for pair in (keys[:2], keys[2:])
    )
    for derivative in (
        lambda f: f(*primals),
        lambda f: jax.jvp(f, primals, tangents),
        lambda f: jax.grad(lambda *arguments: jnp.sin(f(*arguments)).sum(), (0, 1))(*primals),
        lambda f: jax.hessian(lambda x: jnp.sin(f(x, primals[1])).sum())(primals[0]),
        lambda f: jax.vmap(f, (None, 0))(primals[0], jnp.stack([primals[1], tangents[1]])),
    ):
        chex.assert_trees_all_close(derivative(multiply_few), derivative(jnp.matmul), atol=1e-5)


def test_layers_of_few_inputs_are_no_matrix_products():
    def program(inputs):
        how = (((1,), (0,)), ((), ()))
        return str(jax.make_jaxpr(lambda x, w: multiply(x, w, how))(jnp.ones((2, inputs)), jnp.ones((inputs, 3))))

    assert "dot_general" not in program(FEW)
    assert "dot_general" in program(FEW + 1)
