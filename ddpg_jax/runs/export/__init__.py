"""A policy as files: from raw observations to the environment's own actions, without this package.

- `policy.stablehlo`: the agent's own program as `jax.export` serialises it, for CPU, CUDA, ROCm and TPU. Running it
  needs JAX and flatbuffers; observations are of the dtype that JAX keeps, to which it casts NumPy arrays by itself.
- `policy.npz` and `load_policy.py`: arrays, and a loader of forty lines that needs NumPy. It takes any numeric dtype.
- `policy.onnx`: standard operators, for onnxruntime and others. Observations are of the environment's own dtype.
- `policy.json`: what they map from and to, and how close each is to the agent.

Each maps `[B, *obs shape]`, for any B, to `[B, *action shape]` in float32 and within the bounds. Where the environment
shows float64, the agent has learned on float32, so all of them round observations to it. A Dict of observations goes
in as a dict of such arrays; to ONNX, each leaf is an input of its own, `observation.achieved_goal` for one.
"""
