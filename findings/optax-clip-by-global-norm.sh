#!/usr/bin/env bash
# optax 0.2.8: clip_by_global_norm turns finite gradients into zeros where their norm is beyond float32.
#
# The squares of (1e20, 1e-3) overflow, the norm is inf, and each gradient is divided by it. What comes out is finite,
# so neither apply_if_finite nor a check for nan sees it: the optimiser goes on, and its moments decay, with a
# gradient of zero. Scaled by its largest entry first, the norm is 1e20 and the clipped gradient (1, 1e-23), as
# numpy.linalg.norm in float64 has it.
# Printed: norm inf, clipped [0. 0.], not finite: 0
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  optax==0.2.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import jax.numpy as jnp
import numpy as np
import optax

gradient = jnp.array([1e20, 1e-3])
assert np.isfinite(gradient).all()
guarded = optax.apply_if_finite(optax.clip_by_global_norm(1.0), max_consecutive_errors=3)
clipped, state = guarded.update(gradient, guarded.init(gradient))
print(f"norm {optax.global_norm(gradient)}, clipped {clipped}, not finite: {state.total_notfinite}")
assert (np.asarray(clipped) == 0).all() and state.total_notfinite == 0
PYTHON
