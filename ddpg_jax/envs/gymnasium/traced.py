"""Functions that are written in NumPy, traced by JAX.

NumPy asks a value of a foreign class what its operators and functions mean for it, and here they mean `jax.numpy`'s. It
does not ask where it makes an array (`np.array([x, y])`, `np.empty`): while a function that does so is traced, the
modules of its package see a NumPy that makes such values.
"""

import contextlib
import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ddpg_jax.types import Array, float_dtype

# One function at a time: modules are changed for it.
TRACING = threading.RLock()


class Traced(NDArrayOperatorsMixin):
    """A JAX value that NumPy's operators, functions and methods accept, and that can be written to.

    Attributes:
        own: the JAX array, or tracer; of a view, what it was last.
        base: what it is a view of, and where, or None.
    """

    def __init__(self, value: Array, base: "tuple[Traced, Any] | None" = None):
        self.own, self.base = value, base

    @property
    def value(self) -> Array:
        """The JAX array, or tracer."""
        return self.base[0].value[self.base[1]] if self.base else self.own

    def write(self, value: Any, where: Any = ...) -> None:
        """Change the value, and that of what it is a view of."""
        written = self.value.at[where].set(value)
        if self.base:
            self.base[0].write(written, self.base[1])
        self.own = written

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        function = jax_function(ufunc)
        return call(function if method == "__call__" else getattr(function, method), inputs, options)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        return call(jax_function(function), inputs, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # protocols by which NumPy would take the array itself
            raise AttributeError(name)
        found = getattr(self.value, name)
        return (lambda *inputs, **options: call(found, inputs, options)) if callable(found) else traced(found)

    def __getitem__(self, index: Any) -> Any:
        index = jax.tree.map(unwrap, index)
        return Traced(self.value[index], (self, index) if is_view(index) else None)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.write(unwrap(value), jax.tree.map(unwrap, index))

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[index] for index in range(len(self)))  # JAX has no end of an array to run into

    def __bool__(self) -> bool:
        raise TypeError("an `if` cannot depend on a goal; np.where can")

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        raise TypeError("NumPy cannot make an array of a goal here; leave the goals as they come")


def is_view(index: Any) -> bool:
    """Whether NumPy gives a view for an index: of slices, and of numbers beside them."""
    parts = index if isinstance(index, tuple) else (index,)
    basic = all(part is None or part is ... or isinstance(part, slice | int | np.integer) for part in parts)
    return basic and any(part is None or part is ... or isinstance(part, slice) for part in parts)


def jax_function(function: Any) -> Any:
    """The function of `jax.numpy` by the name of one of NumPy's."""
    modules = getattr(function, "__module__", "numpy") or "numpy"
    try:
        return functools.reduce(getattr, [*modules.split(".")[1:], function.__name__], jnp)
    except AttributeError:
        raise TypeError(f"jax.numpy has no {function.__name__}") from None


def call(function: Callable, inputs: Any, options: dict[str, Any]) -> Any:
    """Call a JAX function with what NumPy's was called with; a value that its result is to be written to is changed."""
    (out,) = outs if isinstance(outs := options.get("out"), tuple) else (outs,)
    if out is None:
        inputs, options = jax.tree.map(unwrap, (tuple(inputs), options))
        return jax.tree.map(traced, function(*inputs, **options))
    if not isinstance(out, Traced):
        raise TypeError("a result is written into an array that is no goal's, which cannot be traced; leave out `out`")
    rest = {name: option for name, option in options.items() if name not in ("out", "where", "casting")}
    found = jnp.broadcast_to(unwrap(call(function, inputs, rest)), out.value.shape).astype(out.value.dtype)
    found = jnp.where(unwrap(options.get("where", True)), found, out.value)
    if not found.ndim:  # a number, of which NumPy makes another
        return Traced(found)
    out.write(found)
    return out


def unwrap(value: Any) -> Any:
    """What JAX takes for a value: what is inside it, and for a dtype the one that JAX keeps."""
    if isinstance(value, Traced):
        return value.value
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic | float | int)):
        return jax.dtypes.canonicalize_dtype(value)
    return value


def traced(value: Any) -> Any:
    """A value that may go back to NumPy."""
    return Traced(value) if isinstance(value, jax.Array) else value


def make_array(name: str) -> Callable:
    """`np.array` and its like, also of what is traced."""

    def make(values: Any, dtype: Any = None, **options: Any) -> Any:
        if not any(isinstance(leaf, Traced) for leaf in jax.tree.leaves(values)):
            return getattr(np, name)(values, dtype, **options)
        kept = None if dtype is None else jax.dtypes.canonicalize_dtype(dtype)
        made = Traced(jnp.array(jax.tree.map(unwrap, values), kept))
        is_one = isinstance(values, Traced) and values.value.dtype == made.value.dtype
        return values if is_one and name != "array" else made

    return make


def make_filled(name: str) -> Callable:
    """`np.zeros` and its like, to be written to."""

    def make(*inputs: Any, **options: Any) -> Any:
        return call(getattr(jnp, name), inputs, {key: value for key, value in options.items() if key != "order"})

    return make


MAKERS = {name: make_array(name) for name in ("array", "asarray", "asanyarray", "ascontiguousarray")}
MAKERS |= {name: make_filled(name) for name in ("empty", "zeros", "ones", "full")}


class Numpy(types.ModuleType):
    """NumPy, whose new arrays take what is traced; for the thread that traces."""

    def __init__(self) -> None:
        super().__init__("numpy")
        self._thread = threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        makers = MAKERS if threading.get_ident() == self._thread else {}
        return makers.get(name) or getattr(np, name)


@contextlib.contextmanager
def making_traced(function: Callable) -> Iterator[None]:
    """Let the modules of a function's package, and of the object it is of, see a NumPy that makes what is traced."""
    owner = getattr(function, "__self__", None)
    found = [getattr(function, "__module__", None), *(kind.__module__ for kind in type(owner).__mro__)]
    packages = {name.partition(".")[0] for name in found if name} - {"builtins", "typing", "gymnasium", "numpy", "jax"}
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in packages]
    numpy = Numpy()
    with TRACING:
        places = [(vars(m), name) for m in modules for name, value in list(vars(m).items()) if value is np]
        for names, name in places:
            names[name] = numpy
        try:
            yield
        finally:
            for names, name in places:
                names[name] = np


def trace(function: Callable) -> Callable[[Array, Array], Array]:
    """A function of NumPy arrays `(achieved [G], desired [G], info)` as one of JAX arrays, for any batch of goals."""

    def reward(achieved: Array, desired: Array) -> Array:
        try:
            found = function(Traced(achieved), Traced(desired), {})
        except Exception:  # it may need arrays to write to
            with making_traced(function):
                found = function(Traced(achieved), Traced(desired), {})
        return jnp.asarray(unwrap(found), float_dtype())

    return jnp.vectorize(reward, signature="(g),(g)->()")
