"""Packing and unpacking are inverse, and one array is kept for each dtype."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.packing import make_packing
from ddpg_jax.types import EnvSpec, transition_struct

EXAMPLE = {
    "image": jax.ShapeDtypeStruct((4, 2, 3), jnp.uint8),
    "speed": jax.ShapeDtypeStruct((3,), jnp.float32),
    "goal": jax.ShapeDtypeStruct((), jnp.int32),
    "reward": jax.ShapeDtypeStruct((), jnp.float32),
    "ended": jax.ShapeDtypeStruct((), jnp.bool_),
}


def filled(batch_shape):
    """Arrays of `EXAMPLE`'s shapes in which every element differs where the dtype allows."""

    def fill(struct):
        shape = (*batch_shape, *struct.shape)
        return jnp.arange(np.prod(shape, dtype=int)).reshape(shape).astype(struct.dtype)

    return jax.tree.map(fill, EXAMPLE)


def test_a_row_has_one_array_for_each_dtype_with_flags_beside_the_floats():
    packing = make_packing(EXAMPLE)
    assert packing.widths == {"float32": 3 + 1 + 1, "int32": 1, "uint8": 24}
    rows = packing.pack(filled((7,)))
    assert {name: (row.shape, row.dtype.name) for name, row in rows.items()} == {
        "float32": ((7, 5), "float32"),
        "int32": ((7, 1), "int32"),
        "uint8": ((7, 24), "uint8"),
    }


@pytest.mark.parametrize("batch_shape", [(), (7,), (5, 2)])
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
def test_unpacking_gives_back_what_was_packed(batch_shape, transform):
    packing, tree = make_packing(EXAMPLE), filled(batch_shape)
    back = transform(lambda tree: packing.unpack(packing.pack(tree)))(tree)
    chex.assert_trees_all_equal(back, tree)
    chex.assert_trees_all_equal_dtypes(back, tree)


def test_packing_works_under_vmap():
    packing, tree = make_packing(EXAMPLE), filled((5, 2))
    chex.assert_trees_all_equal(jax.vmap(packing.pack)(tree), packing.pack(tree))


def test_the_layout_of_a_transition_is_that_of_its_fields():
    spec = EnvSpec(jax.ShapeDtypeStruct((3,), jnp.float32), -np.ones(2), np.ones(2))
    packing = make_packing(transition_struct(spec))
    assert packing.widths == {"float32": 3 + 2 + 1 + 1 + 1 + 3}


def test_flags_survive_at_64_bits():
    with jax.enable_x64(True):
        packing = make_packing({"ended": jax.ShapeDtypeStruct((), jnp.bool_)})
        rows = packing.pack({"ended": jnp.array([True, False])})
        assert rows["float64"].dtype == jnp.float64
        np.testing.assert_array_equal(packing.unpack(rows)["ended"], [True, False])
