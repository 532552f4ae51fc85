#!/usr/bin/env bash
# rejax 0.1.3: max_grad_norm limits each entry of a gradient, not its norm.
#
# TD3, SAC, PPO, DQN, IQN and PQN build their optimiser with optax.clip, which cuts entry by entry; a setting of that
# name limits the global norm elsewhere, in Stable-Baselines3 for one. With max_grad_norm = 1 a gradient of the norm
# 669 goes on to Adam with the norm 67, and its direction changes where some entries are cut and others are not.
# Printed: norm 669.4 before, 66.9 behind a max_grad_norm of 1
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  rejax==0.1.3 gymnax==1.0.1 six==1.17.0 gymnasium==1.3.0 jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 optax==0.2.8 \
  numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import jax
import jax.numpy as jnp
import optax
import rejax

state = rejax.TD3.create(env="Pendulum-v1", max_grad_norm=1.0, buffer_size=100, fill_buffer=0).init_state(
    jax.random.key(0)
)
actor = state.actor_ts
gradient = jax.tree.map(lambda leaf: jnp.full_like(leaf, 10.0), actor.params)
_, after = actor.tx.update(gradient, actor.opt_state, actor.params)
adam = optax.tree_utils.tree_get(after, "mu")
before, behind = optax.global_norm(gradient), 10 * optax.global_norm(adam)  # Adam's first moment is a tenth of it
print(f"norm {before:.1f} before, {behind:.1f} behind a max_grad_norm of 1")
assert behind > 10 and abs(before / behind - 10) < 1e-3
PYTHON
