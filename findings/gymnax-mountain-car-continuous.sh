#!/usr/bin/env bash
# gymnax 1.0.1: MountainCarContinuous-v0 has no wall at the left, and pays for a car that rolls back over the goal.
#
# Gymnasium stops the car where it hits the left end; gymnax, which means to, compares with the goal instead of the
# end. So a car at the end at -1.2 keeps its speed, and stays there until gravity has used that up. And a car beyond
# the goal that moves back has its speed set to zero, which counts as having arrived: the episode terminates with the
# reward 100, where Gymnasium's, which asks for a speed of at least 0, goes on. gymnax's MountainCar-v0 is right.
# Printed: at the wall: gymnax -0.038, Gymnasium 0.000; rolling back: gymnax True 100.0, Gymnasium False 0.0
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  gymnax==1.0.1 six==1.17.0 gymnasium==1.3.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import gymnax
import jax
import jax.numpy as jnp
import numpy as np

ours, params = gymnax.make("MountainCarContinuous-v0")
_, start = ours.reset(jax.random.key(0), params)
theirs = gymnasium.make("MountainCarContinuous-v0").unwrapped
theirs.reset(seed=0)


def both(position, velocity):
    state = start.replace(position=jnp.float32(position), velocity=jnp.float32(velocity))
    obs, _, reward, terminated, *_ = ours.step_env(jax.random.key(1), state, jnp.zeros(1), params)
    theirs.state = np.array([position, velocity], np.float32)
    expected = theirs.step(np.zeros(1, np.float32))
    return (float(obs[1]), float(reward), bool(terminated)), (float(expected[0][1]), float(expected[1]), expected[2])


wall, back = both(-1.19, -0.04), both(0.55, -0.03)
print(f"at the wall: gymnax {wall[0][0]:.3f}, Gymnasium {wall[1][0]:.3f}", end="; ")
print(f"rolling back: gymnax {back[0][2]} {back[0][1]}, Gymnasium {back[1][2]} {back[1][1]}")
assert wall[0][0] < -0.03 and wall[1][0] == 0
assert back[0][1:] == (100.0, True) and back[1][1:] == (0.0, False)
PYTHON
