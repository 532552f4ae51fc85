"""policy.npz with NumPy alone: `act = load_policy("policy.npz")`, then `action = act(obs[None])[0]`, or a batch."""

from collections.abc import Callable
from typing import Any

import numpy as np

LAYERS: dict[str, Callable[..., Any]] = {
    "affine": lambda x, kernel, bias: x @ kernel + bias,
    "layer_norm": lambda x, scale, bias, eps: (x.T - x.mean(1)).T / np.sqrt(x.var(1) + eps)[:, None] * scale + bias,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "silu": lambda x: x / 2 * (1 + np.tanh(x / 2)),
    "standardize": lambda x, mean, rest, stddev, low, high: np.clip((x - mean - rest) / stddev, low, high),
    "scale": lambda x, scale, bias, low, high: np.where(
        x >= 1, high, np.where(x <= -1, low, np.clip(bias + scale * x, low, high))
    ),
}


def load_policy(path: str) -> Callable[[Any], np.ndarray]:
    """Build `act(obs)`, of obs `[B, *shape]` or a dict of such: actions `[B, *shape]` in the environment's units."""
    file = dict(np.load(path, allow_pickle=False))
    leaves = [name for name in file if name.split(".")[0] == "obs"]  # in the order in which they are joined

    def vector(obs: Any, name: str) -> np.ndarray:
        for key in name.split(".")[1:]:
            obs = obs[key]
        return np.asarray(obs).astype(file[name].dtype).astype(np.float32).reshape(-1, file[name].size)

    def act(obs: Any) -> np.ndarray:
        x = np.concatenate([vector(obs, name) for name in leaves], axis=1)
        for kind, *names in map(str.split, file["layers"]):
            x = LAYERS[kind](x, *(file[name] for name in names))
        return x.reshape(-1, *file["action"].shape)

    return act
