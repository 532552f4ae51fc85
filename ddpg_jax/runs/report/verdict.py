"""What a run looks like, in plain words, with what to try and the figure that shows it."""

from typing import NamedTuple

import numpy as np

from ddpg_jax.runs.check_updates import few_updates
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.report import remedies
from ddpg_jax.runs.report.evidence import Evidence, gather, recent_mean
from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.returns import (
    FEW_EPISODES,
    Returns,
    best_stretch,
    halfway,
    has_fallen,
    improved,
    last_quarter_returns,
    last_returns,
    rising,
)

# What Q predicts beyond the return, in units of the largest possible value. DDPG overestimates also where it learns
# (Fujimoto et al., 2018), in our runs by half of that; and Q that begins at 0 where rewards are costs, by up to 1.
OVERESTIMATED = 1.0
# Growth of that gap from the middle of a run to its end: less is a critic that settles.
GROWING = 1.2
# |Q|, or its error, in units of the largest possible value, that no reward explains. More than 1, since the largest
# reward may exceed the largest mean of an episode.
EXPLODED = 5.0
# Share of updates that were skipped. Healthy runs skip none; one may be a freak observation.
SKIPPED = 0.01
# Share of the actor's outputs beyond 0.99, where tanh passes next to no gradient. Good Pendulum runs reach 0.7
# on their way, and one with a critic as fast as 0.1 went through 0.85.
SATURATED = 0.9
# Spread of the actions in the memory. Random ones have 0.58; a constant one with the usual noise has 0.1.
NARROW = 0.15
# Scale of noise that is none.
NO_NOISE = 0.01
# Share of a run by which noise is gone early, and of random steps that make up for noise.
EARLY, RANDOM_SHARE = 0.1, 0.2
# Updates before which no illness shows, and before which not having learned is none: Pendulum, as quick as tasks get,
# takes 3,000 to 6,000.
FIRST_UPDATES, ENOUGH_UPDATES = 1_000, 5_000
# Share of the planned steps before which the same holds: they were chosen for the task.
FAIR_SHARE = 0.3


class Verdict(NamedTuple):
    """A judgement of one run.

    Attributes:
        kind: "learning", "plateau", "diverging critic", "saturated actor", "dead exploration" or "too few steps".
        headline: one sentence.
        reasons: the figures it rests on, one sentence each.
        remedies: settings to try, by their flags, at most two; empty where nothing is wrong.
        figure: id of the figure that shows it: "learning", "q_target", "losses", "grad_norms", "td_error",
            "saturation", "q_return", "policy", "q_map" or "speed".
    """

    kind: str
    headline: str
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]
    figure: str


def judge(record: Record) -> Verdict:
    """Judge a run by its rows and settings; it may be old, cut short or still being written.

    First comes what makes the rest meaningless: a critic that has diverged, and too little to compare. Then how the
    return went; only where that is not well, something is blamed for it.
    """
    evidence = gather(record)
    examinations = (
        skipped_gradients,
        exploded_critic,
        overestimating_critic,
        nothing_to_compare,
        first_updates,
        one_action,
        learning,
        saturated_actor,
        fallen_back,
        not_there_yet,
        dead_exploration,
        plateau,
    )
    found = (examine(evidence) for examine in examinations)
    verdict = next(verdict for verdict in found if verdict)
    return verdict._replace(reasons=(*verdict.reasons, *few_updates(evidence.config.train)))


def skipped_gradients(evidence: Evidence) -> Verdict | None:
    """Updates that were skipped, since their gradients were not finite."""
    skipped, updates = evidence.critic.skipped, evidence.updates
    if skipped <= SKIPPED * updates:
        return None
    return Verdict(
        "diverging critic",
        f"Gradients are not finite: {skipped:,} of {updates:,} updates were skipped.",
        (
            "Q has grown until float32 has no room for its gradient, or rewards and observations are that large.",
            *return_reasons(evidence.returns),
        ),
        remedies.suggest(remedies.DIVERGING, evidence.config),
        "grad_norms",
    )


def exploded_critic(evidence: Evidence) -> Verdict | None:
    """Q, or its error, beyond what rewards could add up to (van Hasselt et al., 2018: soft divergence)."""
    critic = evidence.critic
    size = max(recent_mean(np.abs(critic.batch_q)), recent_mean(np.abs(critic.predicted)), key=np.nan_to_num)
    error = recent_mean(critic.batch_error)
    if not np.fmax(size, error) > EXPLODED * critic.bound:
        return None
    in_size = size >= np.nan_to_num(error)
    what = f"|Q| is {format_number(size)}" if in_size else f"the error of Q is {format_number(error)}"
    return Verdict(
        "diverging critic",
        f"The critic has exploded: {what}, while rewards as seen here add up to {format_number(critic.bound)} at most.",
        (
            f"The largest mean reward of an episode, for ever and discounted, is worth {format_number(critic.bound)}.",
            *return_reasons(evidence.returns),
        ),
        remedies.suggest(remedies.DIVERGING, evidence.config),
        "q_target" if in_size else "losses",
    )


def overestimating_critic(evidence: Evidence) -> Verdict | None:
    """Q far above the discounted return of the same episodes, and more so with time."""
    critic = evidence.critic
    gap = critic.predicted - critic.allowed
    before, now = gap[len(gap) // 3 : 2 * len(gap) // 3], recent_mean(gap)
    if not before.size or not now > max(OVERESTIMATED * critic.bound, GROWING * before.mean()):
        return None
    return Verdict(
        "diverging critic",
        f"The critic promises {format_number(critic.predicted[-1])}, {format_number(critic.returned[-1])} is earned "
        "(both discounted), and the gap grows.",
        (
            f"Beyond what a time limit explains, it was {format_number(before.mean())} in the middle and is "
            f"{format_number(now)} now.",
            f"Rewards as seen here add up to {format_number(critic.bound)} at most.",
            *return_reasons(evidence.returns),
        ),
        remedies.suggest(remedies.DIVERGING, evidence.config),
        "q_return",
    )


def nothing_to_compare(evidence: Evidence) -> Verdict | None:
    """No updates, or no episodes before them or after."""
    returns = evidence.returns
    enough = returns.points and min(returns.start.size, last_quarter_returns(returns).size) >= FEW_EPISODES
    return None if enough and evidence.updates else too_few_steps(evidence)


def first_updates(evidence: Evidence) -> Verdict | None:
    """Too early for anything to be called ill."""
    return too_few_steps(evidence) if evidence.updates < FIRST_UPDATES else None


def one_action(evidence: Evidence) -> Verdict | None:
    """No noise by the settings, and nothing but one action in the memory: even a return that rises means little."""
    return unexplored(evidence) if missing_noise(evidence) and evidence.action_stddev < NARROW else None


def learning(evidence: Evidence) -> Verdict | None:
    """The return is clearly better than before learning, and has not fallen back."""
    returns = evidence.returns
    if not improved(returns):
        return None
    begin, end = format_number(returns.start.mean()), format_number(last_returns(returns).mean())
    tense, goes_on = ("Learning", "still rises") if rising(returns) else ("Learned", "stays there")
    unaided = f", though {missing_noise(evidence)}" if missing_noise(evidence) else ""
    return Verdict(
        "learning",
        f"{tense}{unaided}: the mean return rose from {begin} to {end}, and {goes_on}.",
        (*return_reasons(returns), *critic_reasons(evidence)),
        (),
        "learning",
    )


def saturated_actor(evidence: Evidence) -> Verdict | None:
    """Most actions at the bounds, where the actor has no gradient to leave them, and a return that is no better."""
    if not evidence.saturation > SATURATED:
        return None
    return Verdict(
        "saturated actor",
        f"The actor is stuck at its bounds: {evidence.saturation:.0%} of its outputs are beyond 0.99, and the return "
        f"{'has fallen back' if has_fallen(evidence.returns) else 'is no better than at the start'}.",
        ("tanh passes next to no gradient there, so the actor hardly learns.", *return_reasons(evidence.returns)),
        remedies.suggest(remedies.SATURATED, evidence.config),
        "saturation",
    )


def fallen_back(evidence: Evidence) -> Verdict | None:
    """A return that was clearly better once."""
    returns = evidence.returns
    if not has_fallen(returns):
        return None
    # The next update may mend one bad policy, but it is the one that a user has.
    lately_well = last_quarter_returns(returns).mean() > halfway(returns)
    what = "had learned, and its last policy is a bad one" if lately_well else "had learned and fell back"
    return Verdict(
        "plateau",
        f"It {what}: the mean return was {format_number(best_stretch(returns).mean())} in its best stretch and is "
        f"{format_number(last_returns(returns).mean())} now.",
        (*return_reasons(returns), *critic_reasons(evidence)),
        remedies.suggest(remedies.FORGOTTEN, evidence.config),
        "learning",
    )


def not_there_yet(evidence: Evidence) -> Verdict | None:
    """A return that is no better, after so few steps that it need not be."""
    early = evidence.step < FAIR_SHARE * evidence.config.train.total_steps
    return too_few_steps(evidence) if early or evidence.updates < ENOUGH_UPDATES else None


def dead_exploration(evidence: Evidence) -> Verdict | None:
    """No noise and hardly a random step, or noise and yet actions that hardly differ."""
    silent = missing_noise(evidence) and evidence.config.train.start_steps < RANDOM_SHARE * evidence.step
    return unexplored(evidence) if silent or evidence.action_stddev < NARROW else None


def plateau(evidence: Evidence) -> Verdict:
    """A return that never became clearly better, and no other cause is seen."""
    returns = evidence.returns
    return Verdict(
        "plateau",
        f"The return is no better than at the start: {format_number(returns.start.mean())} before learning, "
        f"{format_number(last_returns(returns).mean())} after {evidence.updates:,} updates.",
        (*return_reasons(returns), *critic_reasons(evidence)),
        remedies.suggest(remedies.STUCK, evidence.config),
        "learning",
    )


def too_few_steps(evidence: Evidence) -> Verdict:
    """Nothing can be said yet."""
    planned = evidence.config.train.total_steps
    ended = evidence.step >= planned
    steps = f"{evidence.step:,} steps" if ended else f"{evidence.step:,} of {planned:,} steps"
    return Verdict(
        "too few steps",
        f"Too early to say: {steps}, {evidence.updates:,} updates.",
        return_reasons(evidence.returns),
        remedies.suggest(remedies.SHORT, evidence.config) if ended else (),
        "learning",
    )


def unexplored(evidence: Evidence) -> Verdict:
    """The verdict of dead exploration."""
    spread = evidence.action_stddev
    known = np.isfinite(spread)
    what = missing_noise(evidence) or f"the actions tried hardly differ (standard deviation {format_number(spread)})"
    reasons = (
        f"Actions in the memory have a standard deviation of {format_number(spread)}, random ones 0.58."
        if known
        else "",
        f"{evidence.config.train.start_steps:,} of {evidence.step:,} steps were random.",
        *return_reasons(evidence.returns),
    )
    return Verdict(
        "dead exploration",
        f"It does not explore: {what}.",
        tuple(filter(None, reasons)),
        remedies.suggest(remedies.UNEXPLORED, evidence.config),
        "policy" if known else "learning",
    )


def missing_noise(evidence: Evidence) -> str:
    """Why the settings leave no noise, empty where they do."""
    noise, train = evidence.config.exploration, evidence.config.train
    if noise.kind == "greedy":
        return "exploration.kind is greedy"
    if noise.kind == "uniform":
        return ""
    gone = noise.final_stddev is not None and noise.final_stddev < NO_NOISE
    if gone and noise.decay_steps < EARLY * train.total_steps:
        return f"its noise is gone after {noise.decay_steps:,} steps"
    return f"exploration.stddev is {noise.stddev:g}" if noise.stddev < NO_NOISE and noise.final_stddev is None else ""


def return_reasons(returns: Returns) -> tuple[str, ...]:
    """What was earned before learning and at the end."""
    if not returns.points or not returns.start.size:
        return ()
    start, last = returns.start, returns.points[-1]
    played = "the last evaluation, of" if returns.source == "evaluation" else "the last training episodes,"
    return (
        f"Before learning, {start.size:,} episodes earned {format_number(start.mean())} on average; "
        f"{played} {last.size:,}, {format_number(last.mean())}.",
    )


def critic_reasons(evidence: Evidence) -> tuple[str, ...]:
    """What the critic predicted in the last evaluation, beside the return."""
    critic = evidence.critic
    if not critic.predicted.size:
        return ()
    predicted, returned = format_number(critic.predicted[-1]), format_number(critic.returned[-1])
    return (
        f"The critic promises {predicted} for episodes that earn {returned}, both discounted; what would come after a "
        "time limit counts in the first only.",
    )
