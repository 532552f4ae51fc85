"""A run that begins with what another has learned: its networks, their targets and statistics, and maybe its memory.

The optimisers begin fresh, and so do all counts of steps and updates.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.state import AgentState
from ddpg_jax.config import Config, ConfigError, shown
from ddpg_jax.replay.buffer import Replay
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.report.settings import flat_settings
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.checkpoint import Checkpoint
from ddpg_jax.runs.storage.choice import LAST, choose
from ddpg_jax.runs.storage.directory import CHECKPOINTS, check_x64, read_settings
from ddpg_jax.runs.storage.origin import Origin
from ddpg_jax.training.runner import Runner
from ddpg_jax.training.trainer import Trainer
from ddpg_jax.types import named_leaves

# What makes networks of the same arrays the same function, and memories of the same rows the same memory.
NETWORKS = (
    "agent.hidden_sizes", "agent.critic_hidden_sizes", "agent.torso", "agent.activation", "agent.normalization",
    "agent.normalize_obs", "agent.normalize_reward", "agent.num_critics", "agent.num_atoms",
)  # fmt: skip
MEMORY = ("replay.capacity", "replay.sampling", "replay.compact", "replay.hindsight", "train.num_envs")
# Belongs to the running episodes of that run's environments.
RUNNING = ".reward_statistics.returns"


class Beginning(NamedTuple):
    """What a run shall begin with.

    Attributes:
        run: directory of the run whose networks these are, None for fresh ones.
        checkpoint: "last", "best", or the step of a checkpoint that it keeps.
        replay: whether to begin with its memory, which is that of its newest checkpoint, too.
    """

    run: Path | None = None
    checkpoint: str = LAST
    replay: bool = False


class WarmStart(NamedTuple):
    """What a run begins with, found and seen to fit.

    Attributes:
        origin: where it is from.
        policy: the checkpoint with the networks.
        memory: the one with the replay memory, None where a run begins with an empty one.
    """

    origin: Origin
    policy: Checkpoint
    memory: Checkpoint | None


def begin_with(
    beginning: Beginning, trainer: Trainer, config: Config, say: Callable[[str], None]
) -> tuple[Origin | None, Callable[[Runner], Runner]]:
    """What is put in place of fresh networks, and where it is from; arguments and errors as of `find_warm_start`."""
    if beginning.run is None:
        if beginning != Beginning():
            raise ConfigError("--warm-start-checkpoint and --warm-start-replay need --warm-start RUN")
        return None, lambda runner: runner
    found = find_warm_start(beginning.run, beginning, trainer, config, say)
    say(describe_warm_start(found))
    return found.origin, make_begin(found, trainer.replay)


def find_warm_start(
    run: Path, beginning: Beginning, trainer: Trainer, config: Config, say: Callable[[str], None]
) -> WarmStart:
    """Find what another run has learned, and see whether it fits; nothing is compiled, allocated or written.

    Args:
        run: directory of that run.
        beginning: what is wanted of it.
        trainer: of the run that begins.
        config: its settings.
        say: called with a line for each damaged checkpoint that is newer than the last whole one.

    Raises:
        ConfigError: if there is no such run or checkpoint, or its networks or its memory are others.
        StorageError: if the checkpoint is damaged.
    """
    source = read_settings(run)
    check_x64(source)
    if not checkpoint.complete(run / CHECKPOINTS):
        raise ConfigError(f"--warm-start {run}: it holds no checkpoint yet")
    policy = choose(run, beginning.checkpoint, say)
    like = jax.eval_shape(trainer.init, jax.random.key(0))
    about = Settings(run, source.config, config)
    networks = {f"agent.{name}": leaf for name, leaf in learned(like.agent).items()}
    check_fit(about, "networks", NETWORKS, policy, networks)
    memory = choose(run, LAST, say) if beginning.replay else None
    if memory:
        check_fit(about, "memory", MEMORY, memory, named_leaves({"replay": like.replay}))
    return WarmStart(Origin(str(run), beginning.checkpoint, policy.step, beginning.replay), policy, memory)


class Settings(NamedTuple):
    """The run that another begins with, its settings, and those of the other."""

    origin: Path
    there: Config
    here: Config


def check_fit(about: Settings, what: str, names: Iterable[str], found: Checkpoint, wanted: dict[str, Any]) -> None:
    """Raise ConfigError, naming the differences, unless a checkpoint holds the arrays that are wanted."""
    there, here = flat_settings(about.there), flat_settings(about.here)
    others = [f"{name} is {shown(there[name])} there and {shown(here[name])} here" for name in names]
    others = [text for text, name in zip(others, names, strict=True) if there[name] != here[name]]
    if others:
        raise ConfigError(f"--warm-start {about.origin}: {'; '.join(others)}; set them as they are there")
    for name, leaf in wanted.items():
        held, needed = found.arrays.get(name), {"shape": list(leaf.shape), "dtype": leaf.dtype.name}
        if leaf.size and held != needed:
            raise ConfigError(
                f"--warm-start {about.origin}: its {what} are not those of {about.here.env}, whose spaces are others "
                f"than those of {about.there.env}: {name} is {describe(held)} there and {describe(needed)} here"
            )


def describe(array: dict[str, Any] | None) -> str:
    """Dtype and shape of an array, as `float32[3, 256]`."""
    return f"{array['dtype']}{array['shape']}" if array else "missing"


def learned(agent: AgentState) -> dict[str, Any]:
    """What a run takes from another's agent, by name."""
    leaves = named_leaves({"params": agent.params, "target_params": agent.target_params})
    return {name: leaf for name, leaf in leaves.items() if not name.endswith(RUNNING)}


def make_begin(found: WarmStart, replay: Replay) -> Callable[[Runner], Runner]:
    """Build `begin(Runner) -> Runner`, which puts what was found in place of fresh networks; its memory is donated.

    Args:
        found: what to begin with.
        replay: the memory of the run that begins.
    """

    def begin(runner: Runner) -> Runner:
        like = jax.eval_shape(lambda: learned(runner.agent))
        loaded = checkpoint.restore(found.policy, like, "agent.")
        parts = {"params": runner.agent.params, "target_params": runner.agent.target_params}
        leaves = [loaded.get(name, leaf) for name, leaf in named_leaves(parts).items()]
        agent = runner.agent._replace(**jax.tree.unflatten(jax.tree.structure(parts), leaves))
        return runner._replace(agent=agent, replay=load_memory(found, replay, runner))

    return begin


def load_memory(found: WarmStart, replay: Replay, runner: Runner) -> Any:
    """The memory of the other run, whose running episodes end in it as truncated; or the runner's own."""
    if found.memory is None:
        return runner.replay
    like = jax.eval_shape(lambda: runner.replay)
    jax.tree.map(lambda leaf: leaf.delete(), runner.replay)  # two memories may be more than there is room for
    loaded = checkpoint.restore(found.memory, like, "replay.")
    return jax.jit(replay.cut, donate_argnums=0)(loaded, jnp.ones(runner.first.shape, jnp.bool_))


def describe_warm_start(found: WarmStart) -> str:
    """What a run begins with, in one line."""
    mean_return = checkpoint.evaluation_of(found.policy)
    earned = "" if mean_return is None else f" (evaluated in training: return {format_number(mean_return)})"
    memory = "with" if found.memory else "without"
    return (
        f"begins with the networks of {found.origin.run} after {found.origin.step:,} steps{earned}, {memory} its "
        "replay memory; optimisers and counts begin fresh"
    )
