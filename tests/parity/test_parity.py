"""Our update and the eager PyTorch one, number for number in float64 (benchmarks/baseline.py)."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.state import Agent, AgentState, UpdateInfo
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Batch, EnvSpec

torch = pytest.importorskip("torch")
from benchmarks.baseline import TorchBatch, TorchDDPG, compile_update, load_params, read_params  # noqa: E402

pytestmark = pytest.mark.parity

NUM_UPDATES, BATCH_SIZE, OBS_DIM, ACTION_DIM = 100, 16, 5, 2
TOLERANCE = 1e-9
BASE = DDPGConfig(hidden_sizes=(32, 32), normalization="none", actor_lr=1e-3, tau=0.05)
# Powers of two, since optax computes schedules in float32 in 64-bit mode as well: these are exact there.
DECAY = {"actor_lr": 2.0**-10, "critic_lr": 2.0**-10, "lr_decay_updates": 64, "lr_final_fraction": 0.25}
TD3 = dataclasses.replace(BASE, num_critics=2, policy_delay=2, target_noise=0.2, target_noise_clip=0.3)
LAYER_NORM = dataclasses.replace(BASE, normalization="layer")
CONFIGS = {
    "ddpg": BASE,
    "ddpg-layer_norm": LAYER_NORM,
    "ddpg-layer_norm-clipped": dataclasses.replace(LAYER_NORM, max_grad_norm=0.5),
    "ddpg-layer_norm-weight_decay-clipped": dataclasses.replace(
        LAYER_NORM, critic_weight_decay=1e-2, max_grad_norm=0.5
    ),
    "ddpg-lr_decay": dataclasses.replace(BASE, **DECAY),
    "td3": TD3,
    "td3-layer_norm-clipped-lr_decay-gelu": dataclasses.replace(
        TD3, normalization="layer", max_grad_norm=1.0, activation="gelu", **DECAY
    ),
}
# What PyTorch is given instead: each must show, or equality means little.
DIFFERENCES = {
    "tau": ("ddpg", {"tau": 0.0501}),
    "actor_lr": ("ddpg", {"actor_lr": 1.001e-3}),
    "critic_lr": ("ddpg", {"critic_lr": 1.001e-3}),
    "clipping": ("ddpg-layer_norm-weight_decay-clipped", {"max_grad_norm": 0.505}),
    "no_clipping": ("ddpg-layer_norm-weight_decay-clipped", {"max_grad_norm": None}),
    "weight_decay": ("ddpg-layer_norm-weight_decay-clipped", {"critic_weight_decay": 0.9e-2}),
    "lr_decay": ("ddpg-lr_decay", {"lr_decay_updates": 65}),
    "policy_delay": ("td3", {"policy_delay": 3}),
    "target_noise": ("td3", {"target_noise": 0.201}),
    "target_noise_clip": ("td3", {"target_noise_clip": 0.35}),
}


class Run(NamedTuple):
    """Our updates: where they began, what they were given, where they ended, what they reported."""

    start: AgentState
    batches: list[Batch]
    noise: list[np.ndarray]
    end: AgentState
    infos: UpdateInfo


def draw_batch(rng: np.random.Generator) -> Batch:
    """Rows of every kind: terminated, folded from two steps, weighted."""
    return Batch(
        obs=rng.normal(size=(BATCH_SIZE, OBS_DIM)),
        action=rng.uniform(-1, 1, (BATCH_SIZE, ACTION_DIM)),
        reward=rng.normal(size=BATCH_SIZE),
        discount=rng.choice([0.0, 0.99, 0.99**2], BATCH_SIZE),
        next_obs=rng.normal(size=(BATCH_SIZE, OBS_DIM)),
        weight=rng.uniform(0.5, 1.5, BATCH_SIZE),
    )


def make_agent(config: DDPGConfig) -> Agent:
    obs = jax.ShapeDtypeStruct((OBS_DIM,), jnp.float64)
    return ddpg(EnvSpec(obs, -np.ones(ACTION_DIM), np.ones(ACTION_DIM)), config)


def perturb(state: AgentState) -> AgentState:
    """Parameters away from their start near zero, so that actions reach their bounds and targets differ."""
    rng = np.random.default_rng(1)
    params, target_params = jax.tree.map(
        lambda leaf: leaf + rng.normal(0, 0.2, leaf.shape), (state.params, state.target_params)
    )
    return state._replace(params=params, target_params=target_params)


@functools.cache
def run_ours(config: DDPGConfig) -> Run:
    """All updates on our side, with the noise that their keys stand for (losses.smooth_target_action)."""
    agent, rng, infos = make_agent(config), np.random.default_rng(0), []
    batches, keys = [draw_batch(rng) for _ in range(NUM_UPDATES)], jax.random.split(jax.random.key(1), NUM_UPDATES)
    noise = [np.array(jax.random.normal(key, (BATCH_SIZE, ACTION_DIM), jnp.float64)) for key in keys]
    start = state = perturb(jax.jit(agent.init)(jax.random.key(0)))
    update = jax.jit(agent.update)
    for key, batch in zip(keys, batches, strict=True):
        state, info = update(key, state, batch)
        infos.append(info)
    return Run(start, batches, noise, state, jax.tree.map(lambda *values: np.stack(values), *infos))


def compare(ours: Run, torch_config: DDPGConfig) -> dict[str, float]:
    """The same updates in PyTorch; the greatest difference of each leaf, by its path."""
    theirs = TorchDDPG(OBS_DIM, ACTION_DIM, torch_config, torch.float64)
    load_params(theirs, ours.start.params, ours.start.target_params)
    for batch, noise in zip(ours.batches, ours.noise, strict=True):
        theirs.update(TorchBatch(*map(torch.from_numpy, batch)), torch.from_numpy(noise))
    params = (ours.end.params, ours.end.target_params)
    difference = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), params, read_params(theirs))
    return {jax.tree_util.keystr(path): value for path, value in jax.tree_util.tree_leaves_with_path(difference)}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_equal_pytorch_after_100_updates(name):
    ours = run_ours(CONFIGS[name])
    difference = compare(ours, CONFIGS[name])
    assert not {path: value for path, value in difference.items() if not value <= TOLERANCE}


@pytest.mark.parametrize("name", CONFIGS)
def test_equality_says_something(name):
    """Every leaf is float64 and moves by far more than the tolerance; clipping clips."""
    config, ours = CONFIGS[name], run_ours(CONFIGS[name])
    start, end = ((state.params, state.target_params) for state in (ours.start, ours.end))
    assert {leaf.dtype for leaf in jax.tree.leaves(end)} == {np.dtype("float64")}
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), start, end)
    assert min(jax.tree.leaves(moved)) > 1e4 * TOLERANCE
    if config.max_grad_norm is not None:
        assert (ours.infos.critic_grad_norm > config.max_grad_norm).any()
        assert (ours.infos.actor_grad_norm > config.max_grad_norm).any()


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_in_one_setting_shows(name):
    config_name, changes = DIFFERENCES[name]
    config = CONFIGS[config_name]
    difference = compare(run_ours(config), dataclasses.replace(config, **changes))
    assert max(difference.values()) > 1e3 * TOLERANCE


def test_the_compiled_update_equals_the_eager_one(monkeypatch):
    """What the benchmarks time as compiled PyTorch (`compile_update`), against what all the above holds to ours.

    The one graph that `torch.compile` traces is run as it is: its C++ would take a minute and more to compile.
    """
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    config, num_updates = dataclasses.replace(LAYER_NORM, hidden_sizes=(8,), max_grad_norm=1.0), 5
    start = perturb(jax.jit(make_agent(config).init)(jax.random.key(0)))
    rng, results = np.random.default_rng(0), []
    batches = [TorchBatch(*map(torch.from_numpy, draw_batch(rng))) for _ in range(num_updates)]
    for compiled in (False, True):
        agent = TorchDDPG(OBS_DIM, ACTION_DIM, config, torch.float64)
        load_params(agent, start.params, start.target_params)
        update = compile_update(agent) if compiled else agent.update
        for batch in batches:
            update(batch)
        results.append(read_params(agent))
    difference = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), *results)
    assert max(jax.tree.leaves(difference)) <= TOLERANCE
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), (start.params, start.target_params), results[1])
    assert min(jax.tree.leaves(moved)) > 1e4 * TOLERANCE


def test_parameters_survive_the_way_there_and_back():
    config = CONFIGS["td3"]
    params = run_ours(config).start.params
    target_params = jax.tree.map(lambda leaf: leaf + 1, params)
    theirs = TorchDDPG(OBS_DIM, ACTION_DIM, config, torch.float64)
    load_params(theirs, params, target_params)
    jax.tree.map(np.testing.assert_array_equal, read_params(theirs), (params, target_params))


def test_parameters_of_another_network_are_refused():
    params = run_ours(BASE).start.params
    theirs = TorchDDPG(OBS_DIM, ACTION_DIM, LAYER_NORM, torch.float64)
    with pytest.raises(ValueError, match="use the same settings"):
        load_params(theirs, params, params)
