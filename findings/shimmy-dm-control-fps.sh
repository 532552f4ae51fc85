#!/usr/bin/env bash
# shimmy 2.0.1: films of dm_control environments have the rate of whichever was made last, and not their own.
#
# DmControlCompatibilityV0 sets metadata["render_fps"] to control_timestep() * 1000, the milliseconds of a step, where
# steps a second are meant: 10 for cartpole-swingup, which makes 100 steps a second, so that Gymnasium's RecordVideo
# plays it at a tenth of its speed. It writes into a dict of the class, which all environments share: once
# humanoid-run, of 40 steps a second, is made, both say 25.
# Printed: cartpole 10.0 of 100 steps a second; after humanoid, cartpole 25.0, humanoid 25.0 of 40
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  'shimmy[dm-control]==2.0.1' dm-control==1.0.50 mujoco==3.17.0 gymnasium==1.4.0 packaging==26.3 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import gymnasium
import shimmy

gymnasium.register_envs(shimmy)
cartpole = gymnasium.make("dm_control/cartpole-swingup-v0")
first, steps = cartpole.metadata["render_fps"], round(1 / cartpole.unwrapped.dt)
humanoid = gymnasium.make("dm_control/humanoid-run-v0")
later = [env.unwrapped.metadata["render_fps"] for env in (cartpole, humanoid)]
of = round(1 / humanoid.unwrapped.dt)
print(f"cartpole {first} of {steps} steps a second; after humanoid, cartpole {later[0]}, humanoid {later[1]} of {of}")
assert (first, steps, later, of) == (10.0, 100, [25.0, 25.0], 40)
PYTHON
