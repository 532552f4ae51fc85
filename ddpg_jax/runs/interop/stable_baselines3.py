"""Policies of Stable-Baselines3: the networks of a saved DDPG or TD3 as ours, without Stable-Baselines3 or PyTorch.

A `model.zip` holds `data`, JSON in which some values are pickles, and `policy.pth`, the networks' tensors. The pickles
are never touched: `data` is asked only for what it also says in plain text, the tensors tell the rest.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.state import Params
from ddpg_jax.config import ConfigError, DDPGConfig, shown
from ddpg_jax.runs.interop.torch_tensors import open_archive, read_member, read_tensors
from ddpg_jax.types import EnvSpec, Tree

LARGEST_DATA, LARGEST_POLICY = 64_000_000, 1_000_000_000
POLICIES = "stable_baselines3.td3.policies"
EXTRACTOR = "<class 'stable_baselines3.common.torch_layers.FlattenExtractor'>"
# GELU is missing: PyTorch's is exact, ours the usual approximation by tanh.
ACTIVATIONS = {
    f"<class 'torch.nn.modules.activation.{name}'>": name.lower() for name in ("ReLU", "Tanh", "ELU", "SiLU")
}
SETTINGS = {
    "tau": "tau",
    "policy_delay": "policy_delay",
    "target_policy_noise": "target_noise",
    "target_noise_clip": "target_noise_clip",
}

Tensors = Mapping[str, np.ndarray]


class ImportedPolicy(NamedTuple):
    """A policy and its critics, as they were saved.

    Attributes:
        config: the networks, and how they were trained as far as the file says it.
        params: what was learned.
        target_params: what followed it.
    """

    config: DDPGConfig
    params: Params
    target_params: Params


def load_stable_baselines3(path: str | Path, spec: EnvSpec, activation: str | None = None) -> ImportedPolicy:
    """Read actor and critics from the zip file of a Stable-Baselines3 DDPG or TD3 model; nothing in it is executed.

    To act, evaluate, or go on training with it:

        found = load_stable_baselines3("model.zip", env.spec)
        agent = ddpg(env.spec, found.config)
        action = agent.act(found.params.actor, obs)
        evaluation = make_evaluate(env, agent.act, num_episodes=10)(key, found.params.actor, lambda: None)
        state = agent.init(key)._replace(params=found.params, target_params=found.target_params)

    The config has the sizes and number of the networks, and tau, the policy's delay, the target noise and the learning
    rates where these are numbers; all other settings are the defaults. Discount, batch size and exploration belong to
    other parts; the optimisers' moments are not read. A model trained in a `VecNormalize` needs its observations
    normalised in the same way, by statistics that the zip file does not hold.

    Args:
        path: the file.
        spec: spaces of the environment that the policy is for.
        activation: nonlinearity of the hidden layers, as in `DDPGConfig`; None for the one that the file names.

    Raises:
        ConfigError: saying what differs, if the file is damaged, is of another algorithm, has networks that are no
            plain perceptrons (images, Dict observations, extractors of its own), or was made for other spaces.

    Source: Raffin et al. (2021), Stable-Baselines3: reliable reinforcement learning implementations.
    """
    with named(str(path)):
        with open_archive(path) as archive:
            data = parse(read_member(archive, "data", LARGEST_DATA))
            check_kind(data, spec)
            policy = read_member(archive, "policy.pth", LARGEST_POLICY)
        with named("policy.pth"):
            tensors = read_tensors(policy)
        config = make_config(data, tensors, activation)
        check_names(tensors, config)
        check_spaces(tensors, spec)
        like = jax.eval_shape(ddpg(spec, config).init, jax.random.key(0)).params
        return ImportedPolicy(config, fill(like, tensors, ""), fill(like, tensors, "_target"))


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
    """Say in a ConfigError where it arose."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from None


def parse(data: bytes) -> dict[str, Any]:
    """The model's settings, those that are plain JSON and the descriptions of those that are not."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"'data' is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError("'data' holds no settings by name")
    return found


def described(data: dict[str, Any], name: str) -> dict[str, Any]:
    """What is said about one setting, or nothing."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def check_kind(data: dict[str, Any], spec: EnvSpec) -> None:
    """Raise ConfigError unless this is a DDPG or TD3 that sees a vector."""
    module = described(data, "policy_class").get("__module__")
    if module != POLICIES:
        raise ConfigError(f"holds a policy of {shown(module)}; only DDPG and TD3, of {POLICIES!r}, can be brought in")
    extractor = described(data, "policy_kwargs").get("features_extractor_class", EXTRACTOR)
    if extractor != EXTRACTOR:
        raise ConfigError(f"has the features extractor {shown(extractor)}; only the default one can be brought in")
    if "Dict" in str(described(data, "observation_space").get(":type:")) or isinstance(spec.obs, Mapping):
        raise ConfigError("only policies that see one array can be brought in, not those that see a Dict of them")
    if spec.obs.dtype == np.uint8 and len(spec.obs.shape) == 3:
        raise ConfigError("only policies that see a vector can be brought in, not those that see images")


def make_config(data: dict[str, Any], tensors: Tensors, activation: str | None) -> DDPGConfig:
    """Sizes from the tensors, the rest from the settings where they are plain."""
    hidden, critic_hidden = layer_sizes(tensors, "actor.mu")[:-1], layer_sizes(tensors, "critic.qf0")[:-1]
    num_critics = 1
    while f"critic.qf{num_critics}.0.weight" in tensors:
        num_critics += 1
    settings = {ours: data[theirs] for theirs, ours in SETTINGS.items() if theirs in data}
    if settings.get("target_noise_clip") == 0:
        settings["target_noise"] = 0.0
    if isinstance(data.get("learning_rate"), float):
        settings["actor_lr"] = settings["critic_lr"] = data["learning_rate"]
    return DDPGConfig(
        hidden_sizes=hidden,
        critic_hidden_sizes=None if critic_hidden == hidden else critic_hidden,
        activation=activation or named_activation(data),  # type: ignore[arg-type]
        normalization="none",
        num_critics=num_critics,
        **settings,
    )


def named_activation(data: dict[str, Any]) -> str:
    """The activation that the policy was made with; without any, it is the default one."""
    kwargs = described(data, "policy_kwargs")
    if "activation_fn" not in kwargs:
        return "relu"
    text = str(kwargs["activation_fn"])
    if text not in ACTIVATIONS:
        raise ConfigError(f"has the activation {shown(text)}; give the nearest one of ours as `activation`")
    return ACTIVATIONS[text]


def layer_sizes(tensors: Tensors, network: str) -> tuple[int, ...]:
    """Outputs of each layer; between two of them, PyTorch counts the activation."""
    sizes: list[int] = []
    while (bias := f"{network}.{2 * len(sizes)}.bias") in tensors:
        sizes.append(tensors[bias].size)
    return tuple(sizes)


def check_names(tensors: Tensors, config: DDPGConfig) -> None:
    """Raise ConfigError unless there are the tensors of these networks and no others."""
    actor, critic = len(config.hidden_sizes) + 1, len(config.critic_hidden_sizes or config.hidden_sizes) + 1
    depths = {f"{role}.mu": actor for role in ("actor", "actor_target")}
    depths |= {f"{role}.qf{k}": critic for role in ("critic", "critic_target") for k in range(config.num_critics)}
    expected = {
        f"{network}.{2 * layer}.{kind}"
        for network, depth in depths.items()
        for layer in range(depth)
        for kind in ("weight", "bias")
    }
    if foreign := sorted(set(tensors) - expected):
        raise ConfigError(f"has the tensor {shown(foreign[0])}, which plain perceptrons do not have")
    if missing := sorted(expected - set(tensors)):
        raise ConfigError(f"has no tensor {missing[0]!r}")


def check_spaces(tensors: Tensors, spec: EnvSpec) -> None:
    """Raise ConfigError unless the actor is for as many observations and actions as there are."""
    found = (math.prod(tensors["actor.mu.0.weight"].shape[1:]), layer_sizes(tensors, "actor.mu")[-1])
    given = (math.prod(spec.obs.shape), spec.action_dim)
    if found != given:
        raise ConfigError(
            f"sees {found[0]} numbers and gives actions of {found[1]}, where this environment shows {given[0]} "
            f"and takes {given[1]}; choose the environment that it was trained on"
        )


def fill(like: Params, tensors: Tensors, suffix: str) -> Params:
    """Parameters of the shapes and dtypes of ours with the numbers of theirs.

    Args:
        like: shapes and dtypes.
        tensors: by PyTorch's names.
        suffix: of the networks' names there.
    """
    num_critics = jax.tree.leaves(like.critic)[0].shape[0]
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), like.critic)
    critics = [fill_network(one, tensors, f"critic{suffix}.qf{k}") for k in range(num_critics)]
    return Params(
        fill_network(like.actor, tensors, f"actor{suffix}.mu"), jax.tree.map(lambda *leaf: jnp.stack(leaf), *critics)
    )


def fill_network(like: Tree, tensors: Tensors, network: str) -> Tree:
    """One network's parameters: `Dense_i` is PyTorch's layer 2 i, its kernel the transposed weight."""

    def leaf(path: tuple[Any, ...], struct: jax.ShapeDtypeStruct) -> jax.Array:
        layer, kind = (entry.key for entry in path[-2:])
        name = f"{network}.{2 * int(layer.removeprefix('Dense_'))}.{'weight' if kind == 'kernel' else kind}"
        value = tensors[name].T
        if value.shape != struct.shape:
            raise ConfigError(f"{name!r} has the shape {value.shape[::-1]}, not {struct.shape[::-1]}")
        # A copy, so that the state of an agent may be donated.
        return jnp.array(np.asarray(value, struct.dtype))

    return jax.tree_util.tree_map_with_path(leaf, like)
