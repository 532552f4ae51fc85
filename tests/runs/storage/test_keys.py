"""The keys of a run: those that its seed always had, and no two alike."""

import jax
import numpy as np

from ddpg_jax.runs.storage.keys import make_keys


def numbers(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_keys_are_splits_and_folds_of_the_seed_and_differ():
    for seed in (0, 7, 2**31 - 1):
        key = jax.random.key(seed)
        split = list(jax.random.split(key, 3))
        folded = [jax.random.fold_in(key, 2**31 + index) for index in range(2)]
        assert list(map(numbers, make_keys(seed))) == list(map(numbers, split + folded))
        assert len(set(map(numbers, make_keys(seed)))) == 5
