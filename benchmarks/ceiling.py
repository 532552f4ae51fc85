"""The machine's limits, measured in the same rounds as what is held against them: matrix products and copying.

The ceiling is the fastest of NumPy, PyTorch and JAX, over a hidden layer's own product in the update
and over a product of 1024^3. Whatever an update does beside products is thereby counted as a loss.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Contender, have, num_threads

CALLS = 10  # products of one call, so that waiting for the last one weighs little
LARGE = 1024
COPY_FLOATS = 2**25  # 128 MiB, beyond the caches
# The three products of a hidden layer with inputs x [B, H], weights w [H, H], and d [B, H], the loss's gradient
# at its outputs.
PRODUCTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "forward": lambda x, w, d: x @ w,
    "weight gradient": lambda x, w, d: x.T @ d,
    "input gradient": lambda x, w, d: d @ w.T,
}


class Library(NamedTuple):
    """What multiplies matrices.

    Attributes:
        array: from a NumPy array to the library's own, on its device.
        compile: what is done to a function before it is used.
        wait: returns when the array given to it is there.
    """

    array: Callable[[np.ndarray], Any]
    compile: Callable[[Callable], Callable]
    wait: Callable[[Any], object]


def libraries() -> dict[str, Library]:
    """NumPy (where the processor computes), PyTorch (if it is installed) and JAX."""
    found = {"jax": Library(jnp.asarray, jax.jit, jax.block_until_ready)}
    if have("torch", "baseline"):
        import torch

        from benchmarks.baseline import equal_terms, find_device, synchronize

        equal_terms(num_threads())
        device = find_device()
        found["torch"] = Library(lambda x: torch.as_tensor(x, device=device), lambda f: f, lambda _: synchronize())
    if jax.default_backend() == "cpu":
        found["numpy"] = Library(np.asarray, lambda f: f, lambda _: None)
    return found


def products(batch: int, width: int) -> dict[str, Contender]:
    """Every product in every library, `"numpy forward"`, `"jax 1024^3"` and so on; a rate is FLOP/s."""
    contenders = {}
    for name, library in libraries().items():
        for kind, function in PRODUCTS.items():
            contenders[f"{name} {kind}"] = product(library, function, batch, width)
    return contenders | large_products()


def large_products() -> dict[str, Contender]:
    """Only the product of 1024^3, in every library."""
    return {
        f"{name} {LARGE}^3": product(library, PRODUCTS["forward"], LARGE, LARGE)
        for name, library in libraries().items()
    }


def product(library: Library, function: Callable, batch: int, width: int) -> Contender:
    """One of a hidden layer's products, one after the other."""
    rng, multiply = np.random.default_rng(0), library.compile(function)
    shapes = (batch, width), (width, width), (batch, width)
    operands = [library.array(rng.normal(size=shape).astype(np.float32)) for shape in shapes]

    def run() -> None:
        for _ in range(CALLS):
            result = multiply(*operands)
        library.wait(result)

    return Contender(run, CALLS * 2 * batch * width * width)


def copying() -> Contender:
    """Reading and writing memory; a rate is bytes/s."""
    array, increment = jnp.ones(COPY_FLOATS), jax.jit(lambda x: x + 1, donate_argnums=0)

    def run() -> None:
        nonlocal array
        array = jax.block_until_ready(increment(array))

    return Contender(run, 2 * array.nbytes)


def ceilings(rates: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The fastest contender by its median, over the layer's own product, and over the large one as well."""
    own = [name for name in rates if name.endswith(" forward")]
    large = [name for name in rates if name.endswith(f" {LARGE}^3")]
    return {"own product": fastest(rates, own), "best product": fastest(rates, own + large)}


def fastest(rates: Mapping[str, np.ndarray], names: list[str]) -> str:
    """The one of these with the greatest median."""
    return max(names, key=lambda name: float(np.median(rates[name])))


def update_flops(
    batch: int,
    obs_dim: int,
    action_dim: int,
    hidden_sizes: tuple[int, ...],
    num_critics: int = 1,
    policy_delay: int = 1,
) -> int:
    """Floating-point operations of the products that one update cannot do without, on average over `policy_delay`.

    An affine layer from i to o values takes 2 B i o for its outputs, as many for its weights' gradient, and as many
    for its inputs' gradient, which the first layer of what is learned does not need.
    """
    actor = layers((obs_dim, *hidden_sizes, action_dim))
    critic = layers((obs_dim + action_dim, *hidden_sizes, 1))
    target = sum(actor) + num_critics * sum(critic)
    critic_step = num_critics * (3 * sum(critic) - critic[0])
    through_critic = 2 * sum(critic) - critic[0] + action_dim * hidden_sizes[0]
    actor_step = 3 * sum(actor) - actor[0] + through_critic
    return 2 * batch * (target + critic_step + actor_step // policy_delay)


def layers(sizes: tuple[int, ...]) -> list[int]:
    """Number of weights of each layer."""
    return [inputs * outputs for inputs, outputs in itertools.pairwise(sizes)]


def update_bytes(batch: int, obs_dim: int, action_dim: int, hidden_sizes: tuple[int, ...]) -> int:
    """Bytes that one update must read and write if nothing but its activations and gradients stays near.

    The parameters, their targets and Adam's two moments, each read and written, and the batch, read.
    """
    networks = (obs_dim, *hidden_sizes, action_dim), (obs_dim + action_dim, *hidden_sizes, 1)
    parameters = sum(sum(layers(sizes)) + sum(sizes[1:]) for sizes in networks)
    row = 2 * obs_dim + action_dim + 3
    return 4 * (8 * parameters + batch * row)


def floor(flops: int, traffic: int, gflops: float, gigabytes: float) -> dict[str, float]:
    """What one update takes at least: counts, and microseconds at the measured 1e9 operations and bytes a second.

    Bytes move at the speed of main memory here; where a cache holds the state, they take less.
    """
    return {"flops": flops, "bytes": traffic, "flops_us": flops / gflops / 1e3, "bytes_us": traffic / gigabytes / 1e3}
