"""One update and no more, as `benchmarks.start` times it: `python -m benchmarks.first_update update`.

`update` makes the agent of the preset, and compiles its start and one update on a batch of zeros: no environment,
no memory, no loop and no command line, so what any start must take that compiles this update. `sbx` and
`stable_baselines3` make the model of `benchmarks.peers` and call its `learn` for a few steps.
"""

import argparse

STEPS = 4


def update() -> None:
    """Start an agent and update it once."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from ddpg_jax import Batch, EnvSpec, ddpg, find_preset
    from ddpg_jax.runs.machine.cache import enable_compilation_cache

    enable_compilation_cache()
    config = find_preset("pendulum").config
    rows, number = config.replay.batch_size, jnp.zeros(config.replay.batch_size)
    spec = EnvSpec(jax.ShapeDtypeStruct((3,), jnp.float32), np.full(1, -2.0), np.full(1, 2.0))
    agent, obs = ddpg(spec, config.agent), jnp.zeros((rows, 3))
    batch = Batch(obs, jnp.zeros((rows, 1)), number, number, obs, number)
    state = jax.jit(agent.init)(jax.random.key(0))
    jax.block_until_ready(jax.jit(agent.update, donate_argnums=1)(jax.random.key(1), state, batch))


def peer(library: str) -> None:
    """Train a peer until it has updated."""
    from benchmarks.contenders import ENV
    from benchmarks.peers.stable_baselines import make_model

    make_model(library, ENV, num_envs=1, batch_size=256, gradient_steps=1).learn(STEPS)


def main() -> None:
    """Do it, and say so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("update", "sbx", "stable_baselines3"))
    what = parser.parse_args().what
    if what == "update":
        update()
    else:
        peer(what)
    print("done", flush=True)


if __name__ == "__main__":
    main()
