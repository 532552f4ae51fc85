"""Kernels as operations of JAX, which XLA's own stand in for where a kernel cannot be.

A kernel has no derivative of its own, and a program that holds one cannot be exported. Each comes with a function that
computes the same in JAX.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, xla

from ddpg_jax.types import Array


def make_primitive(name: str, in_jax: Callable[..., Sequence[Array]]) -> Primitive:
    """An operation of several results whose derivative is that of a function in JAX.

    Under `vmap` it is done once for each row, one after the other.

    Args:
        name: of the operation.
        in_jax: `in_jax(*arguments, **params) -> arrays`, the same in JAX.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    def differentiate(primals: Sequence[Array], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        results = primitive.bind(*primals, **params)
        tangents = [ad.instantiate_zeros(tangent) for tangent in tangents]
        return results, jax.jvp(functools.partial(in_jax, **params), tuple(primals), tuple(tangents))[1]

    def repeat(arguments: Sequence[Array], axes: Sequence[Any], **params: Any) -> tuple[Any, list[int]]:
        mapped = [index for index, axis in enumerate(axes) if axis is not None]

        def one(row: Sequence[Array]) -> Sequence[Array]:
            own = dict(enumerate(arguments)) | dict(zip(mapped, row, strict=True))
            return primitive.bind(*own.values(), **params)

        results = jax.lax.map(one, [jnp.moveaxis(arguments[index], axes[index], 0) for index in mapped])
        return results, [0] * len(results)

    primitive.def_impl(functools.partial(xla.apply_primitive, primitive))
    ad.primitive_jvps[primitive] = differentiate
    batching.primitive_batchers[primitive] = repeat
    return primitive


def run_in_jax(*arguments: Array, same: Callable[..., Sequence[Array]], shapes: Sequence[Any], **params: Any) -> Any:
    """What stands for a kernel."""
    return same(shapes, *arguments)


def lower(context: Any, *arguments: Any, target: str, places: Sequence[tuple[int, int]], **params: Any) -> Any:
    """The kernel in a program, or XLA's operations in one that is exported."""
    if context.module_context.lowering_parameters.for_export:
        in_jax = mlir.lower_fun(functools.partial(run_in_jax, **params), multiple_results=True)
        return in_jax(context, *arguments)
    return jax.ffi.ffi_lowering(target, operand_output_aliases=dict(places))(context, *arguments)


kernel_p = make_primitive("ddpg_jax_kernel", run_in_jax)
kernel_p.def_abstract_eval(lambda *arguments, shapes, **params: shapes)
mlir.register_lowering(kernel_p, lower)


def call(
    target: str,
    same: Callable[..., Sequence[Array]],
    results: Sequence[jax.ShapeDtypeStruct],
    *arguments: Array,
    places: Sequence[tuple[int, int]] = (),
) -> list[Array]:
    """A kernel in the program; under `vmap`, one call after the other.

    Args:
        target: its name in XLA.
        same: `same(shapes, *arguments) -> arrays`, the same in JAX; a function of a module.
        results: shapes and dtypes.
        arguments: what it reads.
        places: arguments that XLA may overwrite, each with the result which takes its place.
    """
    shapes = tuple(jax.core.ShapedArray(result.shape, result.dtype) for result in results)
    return kernel_p.bind(*arguments, target=target, same=same, shapes=shapes, places=tuple(places))


def is_allowed() -> bool:
    """Whether a kernel can be here: not in `shard_map`, where the type of a result says on which devices it differs."""
    return not jax.sharding.get_abstract_mesh().manual_axes
