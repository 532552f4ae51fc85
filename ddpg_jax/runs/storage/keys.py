"""The keys of a run, all from its seed."""

from typing import NamedTuple

import jax

from ddpg_jax.types import Array, Key

# `split` folds in counts, too, from 0 on; these are beyond them.
FINAL, PROBE = 2**31, 2**31 + 1


class Keys(NamedTuple):
    """What everything random in a run comes from, together with counters.

    Attributes:
        init: of the first runner.
        run: of the trainer, the same for each chunk.
        evaluate: of evaluations while training.
        final: of the last evaluation.
        probe: of what the policy is looked at with.
    """

    init: Key
    run: Key
    evaluate: Key
    final: Key
    probe: Key


@jax.jit
def make_keys(seed: Array | int) -> Keys:
    """All keys of a run, by one program, where each split and fold would be one of its own."""
    key = jax.random.key(seed)
    init, run, evaluate = jax.random.split(key, 3)
    return Keys(init, run, evaluate, jax.random.fold_in(key, FINAL), jax.random.fold_in(key, PROBE))
