#!/usr/bin/env bash
# flax 0.12.8: LayerNorm takes the variance of numbers that lie close together beside their mean for zero.
#
# By default it computes E[x^2] - E[x]^2 in float32, in which 10,000 + (0, 1, 2, 3) has the variance 0 instead of
# 1.25. Divided is then by the square root of epsilon, 0.001, and the output, whose deviation should be 1, is a
# thousand times as large. With use_fast_variance=False, as with PyTorch's LayerNorm, it is right. BatchNorm has the
# same default.
# Printed: [-1500.  -500.   500.  1500.] instead of [-1.34 -0.45  0.45  1.34]
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  flax==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

x = 10_000 + jnp.arange(4.0)
default, exact = (
    np.asarray(nn.LayerNorm(use_fast_variance=fast, use_scale=False, use_bias=False).apply({}, x))
    for fast in (True, False)
)
print(default, "instead of", exact.round(2))
assert np.allclose(default, [-1500, -500, 500, 1500])
assert np.allclose(exact, [-1.3416, -0.4472, 0.4472, 1.3416], atol=1e-3)
PYTHON
