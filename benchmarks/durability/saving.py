"""What a checkpoint costs: `python -m benchmarks.durability.saving`.

A filled memory of 1,000,000 rows of 17 + 6 + 17 floats (HalfCheetah's) with the default networks is saved and
restored again and again; the seconds are set against the default interval, the bytes against the arrays'.
"""

import argparse
import pathlib
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import kernels, measure
from ddpg_jax import Config, Env, EnvSpec, Timestep, make_trainer
from ddpg_jax.config import CheckpointConfig
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.training.runner import Runner

OBS, ACTIONS = 17, 6


def world() -> Env:
    """Spaces of HalfCheetah; never stepped."""
    spec = EnvSpec(jax.ShapeDtypeStruct((OBS,), jnp.float32), -np.ones(ACTIONS), np.ones(ACTIONS))
    zeros, never = jnp.zeros(1), jnp.zeros(1, bool)
    obs = jnp.zeros((1, OBS))
    return Env(
        spec, 1, lambda key: ((), obs), lambda *_: ((), obs, Timestep(zeros, never, never, obs, jnp.bool_(True)))
    )


def filled_runner() -> Runner:
    """A runner whose memory holds noise, which does not compress."""
    runner = make_trainer(world(), Config()).init(jax.random.key(0))
    rows = {
        name: jax.random.normal(jax.random.key(1), rows.shape, rows.dtype) for name, rows in runner.replay.rows.items()
    }
    return runner._replace(replay=runner.replay._replace(rows=rows))


def main() -> None:
    """Time saving and restoring, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=pathlib.Path, default=None)
    options = kernels.parse(parser)
    runner = jax.block_until_ready(filled_runner())
    arrays = sum(leaf.nbytes for leaf in jax.tree.leaves(runner))
    like = jax.eval_shape(lambda: runner)
    saves, restores = [], []
    with tempfile.TemporaryDirectory() as place:
        run = pathlib.Path(place)
        for step in range(options.rounds):
            begin = time.perf_counter()
            path = checkpoint.save(run, step, runner, b"", {}, CheckpointConfig().keep)
            saves.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            found = checkpoint.newest(run, print)
            assert found is not None
            jax.block_until_ready(checkpoint.restore(found, like))
            restores.append(time.perf_counter() - begin)
        written = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    interval = 60 * CheckpointConfig().minutes
    results = {
        "array_bytes": arrays,
        "file_bytes_over_array_bytes": round(written / arrays, 4),
        "save_seconds": measure.quartiles(saves),
        "check_and_restore_seconds": measure.quartiles(restores),
        "default_interval_seconds": interval,
        "save_share_of_training": [round(value / interval, 5) for value in measure.quartiles(saves)],
    }
    for name, value in results.items():
        print(f"{name}: {value}")
    measure.write(options, "durability.saving", results)


if __name__ == "__main__":
    main()
