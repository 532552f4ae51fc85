"""What a verdict rests on: a run's rows as numbers, whatever is missing or not finite in them."""

import itertools
from typing import NamedTuple

import numpy as np

from ddpg_jax.config import Config, num_updates
from ddpg_jax.runs.report.record import Record, last_step
from ddpg_jax.runs.report.returns import Returns, gather_returns, last_quarter
from ddpg_jax.runs.report.series import column, finite, numbers
from ddpg_jax.runs.storage.metrics import Row

# |Q| that a critic may have which has learned nothing: its networks begin with outputs of a tenth at most.
UNTRAINED_Q = 0.1
# At a discount of 1 a task without an end has no value; this one, of a thousand steps, stands for it.
LARGEST_DISCOUNT = 0.999


class Critic(NamedTuple):
    """What the critic says, beside what came true.

    Attributes:
        predicted: mean Q at the first states of each evaluation, `[V]`.
        returned: mean discounted return of its episodes, `[V]`.
        allowed: the most that Q could mean there: the same, or with rewards that go on beyond a time limit, `[V]`.
        bound: the largest |Q| that rewards as they were seen could add up to; inf before any was seen.
        batch_q: mean Q of the batches of each update row, nan where it has none, `[U]`.
        batch_error: root of the critic's loss there, in units of Q, `[U]`.
        skipped: updates that were skipped, since a gradient was not finite.
    """

    predicted: np.ndarray
    returned: np.ndarray
    allowed: np.ndarray
    bound: float
    batch_q: np.ndarray
    batch_error: np.ndarray
    skipped: int


class Evidence(NamedTuple):
    """What a verdict rests on.

    Attributes:
        config: the settings.
        step: environment steps so far.
        updates: made so far, by the settings.
        returns: what episodes earned.
        critic: what the critic says.
        saturation: share of the actor's outputs beyond 0.99 lately, nan if unknown.
        action_stddev: standard deviation of the actions in the memory lately, nan if unknown.
    """

    config: Config
    step: int
    updates: int
    returns: Returns
    critic: Critic
    saturation: float
    action_stddev: float


def gather(record: Record) -> Evidence:
    """Read the evidence from a run's rows."""
    config, rows = record.run.config, record.rows
    train = config.train
    step = last_step(record)
    return Evidence(
        config=config,
        step=step,
        updates=num_updates(train, step) if rows["update"] else 0,
        returns=gather_returns(rows, train),
        critic=gather_critic(rows, config),
        saturation=recent_mean(column(rows["update"], "saturation")),
        action_stddev=recent_mean(column(rows["probe"], "action_stddev")),
    )


def recent_mean(values: np.ndarray) -> float:
    """Mean of the last quarter of the values that are finite, nan if there is none."""
    known = finite(values)
    return float(last_quarter(known).mean()) if known.size else np.nan


def gather_critic(rows: dict[str, list[Row]], config: Config) -> Critic:
    """What the critic says, beside what came true."""
    discount = min(config.replay.discount, LARGEST_DISCOUNT)
    returns, lengths = played(rows)
    # What lasted so long may have been cut, in training or in an evaluation.
    longest = min(max(lengths, default=1.0), config.train.eval_steps or np.inf)
    learned = column(rows["evaluation"], "step") > config.train.update_after
    trained = itertools.compress(rows["evaluation"], learned)
    found = [prediction for row in trained if (prediction := read_prediction(row, discount, longest))]
    predicted, returned, allowed = np.array(found, np.float64).reshape(-1, 3).T
    skipped = finite(column(rows["update"], "skipped"))
    return Critic(
        predicted=predicted,
        returned=returned,
        allowed=allowed,
        bound=largest_value(returns, lengths, discount),
        batch_q=column(rows["update"], "q"),
        batch_error=np.sqrt(np.abs(column(rows["update"], "critic_loss"))),
        skipped=int(skipped[-1]) if skipped.size else 0,
    )


def played(rows: dict[str, list[Row]]) -> tuple[np.ndarray, np.ndarray]:
    """Return and length of every episode, in training and in evaluations, two `[N]`."""
    tables = [np.array([column(rows["episode"], "return"), column(rows["episode"], "length")])]
    for row in rows["evaluation"]:
        returns, lengths = numbers(row.get("returns")), numbers(row.get("lengths"))
        if returns.shape == lengths.shape:
            tables.append(np.array([returns, lengths]))
    returns, lengths = np.concatenate(tables, axis=1)
    usable = np.isfinite(returns) & (lengths >= 1) & np.isfinite(lengths)
    return returns[usable], lengths[usable]


def read_prediction(row: Row, discount: float, longest: float) -> tuple[float, float, float] | None:
    """Means over an evaluation's episodes: predicted Q, discounted return, and the most that Q could mean.

    An episode of G that a time limit of T steps cut goes on, for the critic: with rewards as before, it is worth
    G / (1 - discount^T). Where rewards stop, it is worth G. The larger one is allowed.

    Args:
        row: of the evaluation.
        discount: of one step.
        longest: steps of the run's longest episode; what ended sooner was not cut.

    Returns:
        The three, or None if the row has not got them, as finite numbers, for every episode.
    """
    q, returned, lengths = (numbers(row.get(name)) for name in ("q", "discounted_returns", "lengths"))
    if not q.size or not q.shape == returned.shape == lengths.shape:
        return None
    if not np.isfinite([q, returned, lengths]).all() or lengths.min() < 1:
        return None
    unlimited = returned / (1 - discount**lengths)
    allowed = np.where(lengths >= longest, np.maximum(returned, unlimited), returned)
    return float(q.mean()), float(returned.mean()), float(allowed.mean())


def largest_value(returns: np.ndarray, lengths: np.ndarray, discount: float) -> float:
    """The largest |Q| that rewards as they were seen could add up to: r / (1 - discount).

    r is the largest |mean reward| of an episode, and stands for the largest reward of van Hasselt et al. (2018), Deep
    Reinforcement Learning and the Deadly Triad: beyond it they call a critic diverged, but the rows do not have it.
    """
    if not returns.size:
        return np.inf
    largest = float(np.max(np.abs(returns) / lengths))
    return max(largest / (1 - discount), UNTRAINED_Q)
