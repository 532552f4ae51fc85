"""The policy of the best evaluation, beside the checkpoints of the whole run.

`checkpoints/best-step12000/` is sealed as these are, and holds the agent's parameters and target parameters alone. A
better one has its name before the one before it goes. Of those before it, each stays that was the best when a kept
checkpoint was written: a run that goes on from there has the same best policy again.
"""

from pathlib import Path

from ddpg_jax.agent.state import AgentState
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.checkpoint import step_of
from ddpg_jax.runs.storage.directory import CHECKPOINTS


def save(run: Path, step: int, agent: AgentState, mean_return: float) -> None:
    """Keep the policy of an evaluation that is better than all before it.

    Args:
        run: the run directory.
        step: environment steps so far.
        agent: whose policy it is.
        mean_return: of the evaluation, in the environment's unit.

    Raises:
        StorageError: if the disk does not take it; the one before stays as it is.
    """
    tree = {"agent": {"params": agent.params, "target_params": agent.target_params}}
    progress = {"evaluated": step, "evaluation": mean_return}
    checkpoint.write(run / CHECKPOINTS / f"best-step{step}", step, tree, b"", progress)
    for path in superseded(run / CHECKPOINTS):
        checkpoint.remove(path)


def kept(folder: Path) -> list[Path]:
    """Policies that are whole, in the order of their evaluations, so that each is better than those before it."""
    paths = folder.glob("best-step*") if folder.is_dir() else []
    return sorted((path for path in paths if checkpoint.step_text(path).isdecimal()), key=step_of)


def superseded(folder: Path) -> list[Path]:
    """Policies that are neither the best of all nor the best that a kept checkpoint knows."""
    policies = kept(folder)
    needed = set(policies[-1:])
    for step in map(step_of, checkpoint.complete(folder)):
        # Whether it was written before or after an evaluation at its own step, its name does not say.
        needed |= {*[path for path in policies if step_of(path) < step][-1:]}
        needed |= {*[path for path in policies if step_of(path) == step]}
    return [path for path in policies if path not in needed]


def forget_later(run: Path, evaluated: int) -> None:
    """Remove the policies of evaluations that a run, which goes on from a checkpoint, has yet to make again.

    Args:
        run: the run directory.
        evaluated: environment steps at the last evaluation that it has made.
    """
    for path in kept(run / CHECKPOINTS):
        if step_of(path) > evaluated:
            checkpoint.remove(path)
