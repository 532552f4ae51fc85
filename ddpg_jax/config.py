"""Everything that a user chooses, as frozen dataclasses of plain values, and their validation.

Each field names its own constraint. `validate` reports every problem at once, before anything is
compiled or written; the command line and the run directory use the very same dataclasses.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

Rule = tuple[str, Callable[[Any], bool]]
T = TypeVar("T")

POSITIVE: Rule = ("> 0", lambda v: 0 < v < math.inf)
NOT_NEGATIVE: Rule = (">= 0", lambda v: 0 <= v < math.inf)
AT_LEAST_ONE_OR_NONE: Rule = (">= 1, or None", lambda v: v is None or v >= 1)
POSITIVE_OR_NONE: Rule = ("> 0, or None", lambda v: v is None or 0 < v < math.inf)
NOT_NEGATIVE_OR_NONE: Rule = (">= 0, or None", lambda v: v is None or 0 <= v < math.inf)
FINITE: Rule = ("finite", lambda v: -math.inf < v < math.inf)
AT_LEAST_ONE: Rule = (">= 1", lambda v: v >= 1)
UNIT: Rule = ("in [0, 1]", lambda v: 0 <= v <= 1)
INT32: Rule = ("in [1, 2147483647]", lambda v: 1 <= v < 2**31)
SEED: Rule = ("in [0, 2147483647]", lambda v: 0 <= v < 2**31)
# What programs count and compute in: int32 and float32. No setting may be larger, whatever its own rule.
LARGEST: dict[type, float] = {int: 2**31 - 1, float: 3.4028234e38}
# Seconds; Python's calls that wait refuse very large ones.
LONGEST_TIMEOUT = 1_000_000
# Characters of a value that a message shows.
LONGEST_TEXT = 80


def no_repetition(values: tuple[Any, ...]) -> bool:
    """Whether no value occurs twice."""
    return len(set(values)) == len(values)


class ConfigError(ValueError):
    """Settings that cannot be used; the message has one line for each problem."""


def setting(default: Any, rule: Rule) -> Any:
    """A dataclass field with its constraint beside it."""
    return dataclasses.field(default=default, metadata={"rule": rule})


@dataclasses.dataclass(frozen=True)
class DDPGConfig:
    """The networks, their optimisers, the loss and the targets.

    TD3 is `num_critics=2, policy_delay=2, target_noise=0.2`; D4PG's critic is `num_atoms=51`.
    """

    hidden_sizes: tuple[int, ...] = setting((256, 256), ("one or more sizes >= 1", lambda v: v and min(v) >= 1))
    """Width of each hidden layer, for actor and critic."""
    critic_hidden_sizes: tuple[int, ...] | None = setting(
        None, ("one or more sizes >= 1, or None", lambda v: v is None or (len(v) > 0 and min(v) >= 1))
    )
    """Width of each of the critics' hidden layers; None gives them the actor's."""
    torso: Literal["flat", "conv"] = "flat"
    """What sees images `[height, width, channels]` first: nothing, they are flattened, or three small convolutions."""
    activation: Literal["relu", "tanh", "elu", "gelu", "silu"] = "relu"
    """Nonlinearity after each hidden layer."""
    normalization: Literal["layer", "batch", "none"] = "layer"
    """Normalise each hidden layer before its activation: LayerNorm, BatchNorm, or not at all."""
    kernels: Literal["auto", "xla"] = "auto"
    """What computes ReLU layers without normalization on a CPU: this package's kernels where they fit, or XLA's."""
    normalize_obs: bool = False
    """Scale observations by their running mean and standard deviation; integers (images) stay as they are."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""
    actor_lr: float = setting(1e-4, POSITIVE)
    """Adam learning rate of the actor."""
    critic_lr: float = setting(1e-3, POSITIVE)
    """Adam learning rate of the critics."""
    lr_decay_updates: int = setting(0, NOT_NEGATIVE)
    """Updates over which the learning rates fall to `lr_final_fraction` of themselves; 0 keeps them."""
    lr_final_fraction: float = setting(0.1, UNIT)
    """Fraction of the learning rates that is left after `lr_decay_updates`."""
    actor_lr_schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the actor's learning rate falls over `lr_decay_updates`; "constant" keeps it."""
    critic_lr_schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the critics' learning rate falls over `lr_decay_updates`; "constant" keeps it."""
    actor_weight_decay: float = setting(0.0, NOT_NEGATIVE)
    """Coefficient of the same penalty on the actor's parameters as `critic_weight_decay`."""
    critic_weight_decay: float = setting(0.0, NOT_NEGATIVE)
    """Coefficient of the L2 penalty c |phi|^2 / 2 on the critics' parameters, added to their gradient."""
    max_grad_norm: float | None = setting(
        None, ("> 0, or None for no clipping", lambda v: v is None or 0 < v < math.inf)
    )
    """Global norm to which the actor's gradient is clipped, and that of all critics together; None does not clip."""
    tau: float = setting(0.005, ("in (0, 1]", lambda v: 0 < v <= 1))
    """Step of the target networks towards the learned ones; 1 copies them."""
    target_period: int = setting(1, AT_LEAST_ONE)
    """The target networks make their step once every so many updates of the actor; with `tau` 1, hard copies."""
    num_critics: int = setting(1, AT_LEAST_ONE)
    """Critics in the ensemble."""
    target_reduction: Literal["min", "mean"] = "min"
    """What the target makes of its critics: the smallest value, or their mean."""
    target_subset: int | None = setting(None, (">= 1, or None", lambda v: v is None or v >= 1))
    """Critics that a target asks, drawn at random in each update; None asks all. REDQ asks 2 of 10."""
    num_atoms: int = setting(1, AT_LEAST_ONE)
    """1: a critic gives Q itself; more: a distribution over so many values from `value_min` to `value_max`."""
    value_min: float = setting(-100.0, FINITE)
    """Distribution only: the least return it can tell, in the unit of the (normalised) reward."""
    value_max: float = setting(100.0, FINITE)
    """Distribution only: the greatest."""
    critic_loss: Literal["squared", "huber"] = "squared"
    """How the loss grows with the TD error: squared, or from 1 on linearly."""
    q_penalty: float = setting(0.0, NOT_NEGATIVE)
    """Coefficient c of the penalty c Q^2 in the critics' loss."""
    policy_delay: int = setting(1, AT_LEAST_ONE)
    """The actor and all targets are updated once every so many critic updates."""
    target_noise: float = setting(0.0, NOT_NEGATIVE)
    """Standard deviation of the noise on the target action, in units of half the action range."""
    target_noise_clip: float = setting(0.5, NOT_NEGATIVE)
    """Bound of that noise, in the same unit."""


@dataclasses.dataclass(frozen=True)
class ReplayConfig:
    """The memory, and what a batch drawn from it looks like."""

    capacity: int = setting(1_000_000, INT32)
    """Transitions kept, over all environments; the oldest are overwritten."""
    batch_size: int = setting(256, AT_LEAST_ONE)
    """Rows of a batch."""
    discount: float = setting(0.99, UNIT)
    """Discount gamma of one step."""
    n_step: int = setting(1, AT_LEAST_ONE)
    """Steps folded into one row, never across an episode's end."""
    sampling: Literal["uniform", "prioritized"] = "uniform"
    """Which rows are drawn: all alike, or those with a large TD error more often."""
    priority_exponent: float = setting(0.6, NOT_NEGATIVE)
    """Prioritised only: alpha, rows are drawn in proportion to |TD error|^alpha."""
    importance_exponent: float = setting(0.4, UNIT)
    """Prioritised only: beta at the start, the share of that bias which the weights of the loss take back."""
    importance_steps: int = setting(100_000, NOT_NEGATIVE)
    """Prioritised only: environment steps over which beta rises to 1; 0 keeps it."""
    hindsight: Literal["none", "final", "future"] = "none"
    """Goal environments only: the goal in whose light a row is seen again: the one its episode reached at its end, or
    at a random later step of it."""
    hindsight_ratio: float = setting(0.8, UNIT)
    """Share of the rows that are seen in the light of another goal."""
    compact: bool = False
    """Keep each observation once, not as its predecessor's successor as well: 1.07 O + 4 A + 8 bytes of a transition,
    not 2 O + 4 A + 12, for O bytes of an observation and A action dimensions. Where episodes are cut after fewer than
    14 steps, the last steps of the older ones are lost."""


@dataclasses.dataclass(frozen=True)
class ExplorationConfig:
    """How the acting side departs from the greedy policy. Noise is in units of half the action range."""

    kind: Literal["gaussian", "ou", "uniform", "greedy"] = "gaussian"
    """Independent noise, Ornstein-Uhlenbeck noise, uniform random actions, or none."""
    stddev: float = setting(0.1, NOT_NEGATIVE)
    """Scale of the noise: its standard deviation (gaussian) or the sigma of the OU process."""
    final_stddev: float | None = setting(None, NOT_NEGATIVE_OR_NONE)
    """Scale reached after `decay_steps`, or below which `decay_rate` does not go; None for neither. It is that of
    `parameter_noise` where `kind` is greedy; beside other noise, parameter noise decays in the same proportion."""
    decay_steps: int = setting(0, NOT_NEGATIVE)
    """Environment steps, from the first with this noise on, over which the scale moves linearly to `final_stddev`."""
    decay_rate: float = setting(1.0, ("in (0, 1]", lambda v: 0 < v <= 1))
    """Factor of the scale from one episode of an environment to its next; 1 keeps it."""
    parameter_noise: float = setting(0.0, NOT_NEGATIVE)
    """Noise on the actor's parameters, renewed with each episode, and adapted so that its actions depart by this much;
    0 for none. The other noise is added to its actions: choose `greedy` for none."""
    smoothing: float = setting(0.0, ("in [0, 1)", lambda v: 0 <= v < 1))
    """Share of the action before in each action, within an episode."""
    theta: float = setting(0.15, POSITIVE)
    """OU only: rate of return to the mean."""
    dt: float = setting(1.0, POSITIVE)
    """OU only: time step; sigma means nothing without it."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How long, how often, and how many. All counts of steps are environment steps, over all environments."""

    num_envs: int = setting(1, AT_LEAST_ONE)
    """Environments stepped together."""
    total_steps: int = setting(1_000_000, INT32)
    """Environment steps of the whole run."""
    start_steps: int = setting(1_000, NOT_NEGATIVE)
    """Steps with uniformly random actions before the policy acts."""
    update_after: int = setting(1_000, AT_LEAST_ONE)
    """Steps before the first update."""
    updates_per_step: int = setting(1, AT_LEAST_ONE)
    """Updates after each step of the `num_envs` environments."""
    log_every: int = setting(500, AT_LEAST_ONE)
    """Steps of one compiled chunk: metrics are averaged over it, and Python runs after it."""
    eval_every: int = setting(1_000, NOT_NEGATIVE)
    """Steps between evaluations while training; 0 evaluates at the end only."""
    eval_episodes: int = setting(10, AT_LEAST_ONE)
    """Episodes of each of these evaluations."""
    final_eval_episodes: int = setting(100, NOT_NEGATIVE)
    """Episodes of the evaluation of the final policy; 0 leaves it out."""
    eval_steps: int | None = setting(None, AT_LEAST_ONE_OR_NONE)
    """Steps after which an episode of an evaluation is cut and counts as it is; None waits for its end."""
    eval_envs: int = setting(10, NOT_NEGATIVE)
    """Environments that play the evaluations; 0: those of the training, whose episodes are then played again from their
    starts. With `num_envs` 1 there is then never a second one."""
    probe_every: int = setting(500, NOT_NEGATIVE)
    """Steps between looks at the policy's actions and their Q on states that stay the same; 0 never looks."""
    max_skipped_updates: int = setting(100, AT_LEAST_ONE)
    """Updates skipped in a row, since a gradient was not finite, after which the run stops."""


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When the whole run is saved. It is also saved at its start, at its end, and when it is stopped."""

    every: int = setting(0, NOT_NEGATIVE)
    """Environment steps between checkpoints; 0 goes by the clock alone."""
    minutes: float = setting(5.0, NOT_NEGATIVE)
    """Minutes between checkpoints; 0 goes by the steps alone."""
    keep: int = setting(2, AT_LEAST_ONE)
    """Newest checkpoints that are kept."""


@dataclasses.dataclass(frozen=True)
class Config:
    """One training run."""

    env: str = "Pendulum-v1"
    """A Gymnasium id, or `gymnax/` and a gymnax id for a compiled environment."""
    seed: int = setting(0, SEED)
    """Seed of everything random in the run."""
    env_timeout: float | None = setting(None, POSITIVE_OR_NONE)
    """Seconds that one step or reset of a Gymnasium environment may take; each then has a process of its own."""
    env_retries: int = setting(0, NOT_NEGATIVE)
    """Failures of an environment after which it is made anew and its episode cut; one more ends the run."""
    demonstrations: str | None = None
    """Transitions to begin the memory with: an .npz file of arrays, or `minari:` and the id of a data set."""
    writers: tuple[Literal["tensorboard", "wandb"], ...] = setting((), ("each at most once", no_repetition))
    """Where metrics go beside RUN/metrics.jsonl: RUN/tensorboard, and RUN/wandb (offline); each needs its package."""
    agent: DDPGConfig = DDPGConfig()
    replay: ReplayConfig = ReplayConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    train: TrainConfig = TrainConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()


def num_updates(train: TrainConfig, steps: int) -> int:
    """Updates made in the first `steps` environment steps of a run.

    All environments step at once, so both counts of steps are rounded up to a multiple of `num_envs`.
    """
    waits, turns = -(-train.update_after // train.num_envs), -(-steps // train.num_envs)
    return max(0, turns - waits) * train.updates_per_step


def most_steps(train: TrainConfig) -> int:
    """The largest `total_steps` whose steps and updates can be counted in int32."""
    waits, largest = -(-train.update_after // train.num_envs), int(LARGEST[int])
    return train.num_envs * min(largest // train.num_envs, largest // train.updates_per_step + waits)


def begun_scale(config: ExplorationConfig) -> tuple[str, float]:
    """The setting that the scale of the noise begins with, and its value: parameter noise, where there is no other."""
    name = "parameter_noise" if config.kind == "greedy" else "stddev"
    return name, getattr(config, name)


# Settings that are fine alone and not together: what must hold, and what to say when it does not.
TOGETHER: dict[type, tuple[tuple[Callable[[Any], bool], Callable[[Any, str], str]], ...]] = {
    ReplayConfig: (
        (
            lambda c: c.batch_size <= c.capacity,
            lambda c, at: (
                f"{at}batch_size = {c.batch_size} must be at most {at}capacity = {c.capacity}; "
                "lower the one or raise the other"
            ),
        ),
    ),
    DDPGConfig: (
        (
            lambda c: c.target_subset is None or c.target_subset <= c.num_critics,
            lambda c, at: (
                f"{at}target_subset = {c.target_subset} must be at most {at}num_critics = {c.num_critics}; "
                "raise the number of critics"
            ),
        ),
        (
            lambda c: c.value_min < c.value_max,
            lambda c, at: f"{at}value_min = {c.value_min} must be below {at}value_max = {c.value_max}",
        ),
        *(
            (
                lambda c, name=name: c.lr_decay_updates or getattr(c, name) in (getattr(DDPGConfig, name), "constant"),
                lambda c, at, name=name: (
                    f"{at}{name} = {getattr(c, name)!r} means nothing with {at}lr_decay_updates = 0, which keeps the "
                    "learning rate; set the number of updates over which it falls"
                ),
            )
            for name in ("actor_lr_schedule", "critic_lr_schedule", "lr_final_fraction")
        ),
    ),
    ExplorationConfig: (
        (
            lambda c: not c.decay_steps or (c.final_stddev is not None and c.decay_rate == 1),
            lambda c, at: (
                f"{at}decay_steps = {c.decay_steps} needs {at}final_stddev, the scale it leads to, and no "
                f"{at}decay_rate beside it; they are {c.final_stddev} and {c.decay_rate}"
            ),
        ),
        (
            lambda c: c.final_stddev is None or c.decay_steps or c.decay_rate < 1,
            lambda c, at: (
                f"{at}final_stddev = {c.final_stddev} needs {at}decay_steps, or {at}decay_rate below 1; "
                "set one of them to let the noise decay"
            ),
        ),
        (
            lambda c: not (c.kind == "uniform" and c.parameter_noise),
            lambda c, at: (
                f"{at}parameter_noise = {c.parameter_noise} means nothing with {at}kind = 'uniform', which never asks "
                "the actor; choose 'greedy' for parameter noise alone"
            ),
        ),
        (
            lambda c: c.kind in ("gaussian", "ou") or c.parameter_noise or not (c.decay_steps or c.decay_rate < 1),
            lambda c, at: (
                f"{at}decay_steps = {c.decay_steps} and {at}decay_rate = {c.decay_rate} need a noise that decays; "
                f"{at}kind = {c.kind!r} has none, choose 'gaussian' or 'ou', or set {at}parameter_noise"
            ),
        ),
        (
            lambda c: c.decay_rate == 1 or c.final_stddev is None or c.final_stddev <= begun_scale(c)[1],
            lambda c, at: (
                f"{at}final_stddev = {c.final_stddev} must be at most {at}{begun_scale(c)[0]} = {begun_scale(c)[1]} "
                f"where {at}decay_rate = {c.decay_rate} lowers it"
            ),
        ),
        (
            lambda c: not (c.final_stddev and c.parameter_noise) or begun_scale(c)[1] > 0,
            lambda c, at: (
                f"{at}parameter_noise = {c.parameter_noise} decays in proportion to {at}stddev = {c.stddev}, which "
                "must be above 0; choose kind 'greedy' for parameter noise alone"
            ),
        ),
        (
            lambda c: c.theta * c.dt < 2,
            lambda c, at: (
                f"{at}theta = {c.theta} times {at}dt = {c.dt} must be below 2, or the noise grows without end; lower dt"
            ),
        ),
    ),
    TrainConfig: (
        (
            lambda c: c.total_steps <= most_steps(c),
            lambda c, at: (
                f"{at}total_steps = {c.total_steps} must be at most {most_steps(c)} with {at}num_envs = {c.num_envs} "
                f"and {at}updates_per_step = {c.updates_per_step}: steps and updates are counted in int32"
            ),
        ),
    ),
    Config: (
        (
            lambda c: c.train.num_envs <= c.replay.capacity,
            lambda c, at: (
                f"replay.capacity = {c.replay.capacity} must hold at least one step of "
                f"train.num_envs = {c.train.num_envs} environments; raise it"
            ),
        ),
        (
            lambda c: c.replay.n_step == 1 or c.replay.n_step * c.train.num_envs <= c.replay.capacity,
            lambda c, at: (
                f"replay.n_step = {c.replay.n_step} steps of train.num_envs = {c.train.num_envs} environments must fit "
                f"in replay.capacity = {c.replay.capacity}; lower the first"
            ),
        ),
        (
            lambda c: c.env_timeout is None or c.env_timeout <= LONGEST_TIMEOUT,
            lambda c, at: (
                f"env_timeout = {c.env_timeout} must be at most {LONGEST_TIMEOUT} seconds; None waits for ever"
            ),
        ),
    ),
}


def conforms(value: Any, hint: Any) -> bool:
    """Whether a plain value is of an annotated type; an int is a fine float, a bool is neither."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in args
    if origin is types.UnionType:
        return any(conforms(value, arg) for arg in args)
    if origin is tuple:
        return isinstance(value, tuple) and all(conforms(item, args[0]) for item in value)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?` for the closest known name, or all of them where none is close."""
    known = list(known)
    close = difflib.get_close_matches(name[:LONGEST_TEXT], known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def shown(value: Any) -> str:
    """A value as Python writes it, in one line and cut where it is long; it may come from a file."""
    text = repr(value)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."


def too_large(value: Any, hint: Any) -> float | None:
    """What a number, or one in a tuple, must not exceed and does; None where all is well."""
    numbers = value if isinstance(value, tuple) else (value,)
    exact = hint is int or int in typing.get_args(hint)
    largest = LARGEST[int if exact else float]
    return largest if any(isinstance(number, int | float) and number > largest for number in numbers) else None


def describe(hint: Any) -> str:
    """An annotated type as a reader would say it."""
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple and typing.get_origin(typing.get_args(hint)[0]) is Literal:
        return describe(typing.get_args(hint)[0]).replace("one of", "any of", 1)
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def field_problem(name: str, value: Any, hint: Any, rule: Rule | None) -> str | None:
    """What is wrong with one value, in one line, or None."""
    if not conforms(value, hint):
        choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
        hint_text = f"; {nearest(value, choices)}" if choices and isinstance(value, str) else ""
        return f"{name} = {shown(value)} must be {describe(hint)}{hint_text}"
    if rule and not rule[1](value):
        return f"{name} = {shown(value)} must be {rule[0]}"
    largest = too_large(value, hint)
    return f"{name} = {shown(value)} must be at most {largest}" if largest else None


def problems(config: Any, prefix: str = "") -> list[str]:
    """Every problem of one section and of those inside it, one line each."""
    hints = typing.get_type_hints(type(config))
    found: list[str | None] = []
    for field in dataclasses.fields(config):
        name, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(hints[field.name]) and isinstance(value, hints[field.name]):
            found += problems(value, name + ".")
        else:
            found.append(field_problem(name, value, hints[field.name], field.metadata.get("rule")))
    broken = [problem for problem in found if problem]
    if not broken:
        broken = [message(config, prefix) for fits, message in TOGETHER.get(type(config), ()) if not fits(config)]
    return broken


def validate(config: T) -> T:
    """Return the settings unchanged if every value can be used.

    Args:
        config: a `Config` or any section of one.

    Raises:
        ConfigError: naming each field, its value and what is allowed, one line each.
    """
    found = problems(config)
    if found:
        raise ConfigError("\n".join(found))
    return config


def from_dict(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Build a settings dataclass from nested plain values, as read from JSON.

    Raises:
        ConfigError: for a name that is not a field, with the nearest one that is.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"settings must be given by name, not as {shown(values)}")
    hints = typing.get_type_hints(kind)
    parsed, found = {}, []
    for name, value in values.items():
        try:
            if name not in hints:
                text = name if name.isidentifier() and len(name) <= LONGEST_TEXT else shown(name)
                raise ConfigError(f"{prefix}{text} is no setting; {nearest(name, hints)}")
            parsed[name] = parse_field(hints[name], value, f"{prefix}{name}.")
        except ConfigError as error:
            found.append(str(error))
    if found:
        raise ConfigError("\n".join(found))
    return kind(**parsed)


def parse_field(hint: Any, value: Any, prefix: str) -> Any:
    """Nested mappings become sections, lists become tuples."""
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(typing.cast(type, hint), value, prefix)
    return tuple(value) if isinstance(value, list) else value
