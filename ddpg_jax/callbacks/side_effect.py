"""Calls with a side effect of which XLA knows and JAX does not."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir, xla

from ddpg_jax.types import Array

call_p = Primitive("ddpg_jax_call")
call_p.multiple_results = True


def make_call(target: str, outputs: Sequence[jax.ShapeDtypeStruct], number: int) -> Callable[..., Sequence[Array]]:
    """Build `call(*inputs) -> outputs` of a target of XLA's foreign function interface, which reads a number.

    XLA keeps it where it is, however like another. To JAX it is a function as others are, left out where none of its
    results is used. Of `jax.ffi.ffi_call(..., has_side_effect=True)` JAX knows, too, and starts its program by Python
    and not by C++: 1.2 ms for each chunk of training (benchmarks/NOTES.md). But it waits for such a program when the
    process ends; here that is the target's own affair.
    """
    shapes = tuple(jax.core.ShapedArray(output.shape, output.dtype) for output in outputs)
    return lambda *inputs: call_p.bind(*inputs, target=target, shapes=shapes, number=number)


@call_p.def_impl
def run(*inputs: Array, **params: Any) -> Sequence[Array]:
    """The call outside a program."""
    return xla.apply_primitive(call_p, *inputs, **params)


@call_p.def_abstract_eval
def describe(*inputs: Any, shapes: Sequence[Any], **params: Any) -> Sequence[Any]:
    """Shapes and dtypes of its results."""
    return shapes


def lower(context: Any, *inputs: Any, target: str, shapes: Sequence[Any], number: int) -> Sequence[Any]:
    """The call in a program."""
    return jax.ffi.ffi_lowering(target, has_side_effect=True)(context, *inputs, number=np.int64(number))


def refuse(inputs: Any, axes: Any, **params: Any) -> NoReturn:
    """The call under `vmap`."""
    raise NotImplementedError("a call to the host cannot be made under vmap; make the environment with more num_envs")


mlir.register_lowering(call_p, lower)
batching.primitive_batchers[call_p] = refuse
