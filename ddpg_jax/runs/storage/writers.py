"""Writers: the figures of a run for TensorBoard and Weights & Biases, beside the JSON lines that are always written.

Tags are those of Stable-Baselines3 (Raffin et al., 2021), and further ones in their manner; x is environment steps.

| row | figure | tag |
|---|---|---|
| episode | return, length (means of the newest 100 episodes) | `rollout/ep_rew_mean`, `rollout/ep_len_mean` |
| evaluation | returns, lengths (means) | `eval/mean_reward`, `eval/mean_ep_length` |
| evaluation | discounted_returns, q (means) | `eval/mean_discounted_reward`, `eval/mean_q` |
| update | critic_loss, actor_loss, q, target, td_error | `train/` and the same name |
| update | critic_grad_norm, actor_grad_norm, saturation | `train/` and the same name |
| update | skipped | `train/skipped_updates` |
| update | seconds, and steps a second from the start | `time/time_elapsed`, `time/fps` |
| probe | action_stddev, q (mean) | `train/action_stddev`, `train/probe_q` |

Each start and each resume writes anew: an event file of its own in RUN/tensorboard, an offline run of its own in
RUN/wandb. Rows beyond the checkpoint are written again after a resume; the new event file tells TensorBoard to drop
what it has of the later steps. W&B cannot drop: its offline runs are one for each start, in one group that is named
after the run directory, and they overlap there. `wandb sync RUN/wandb/offline-run-*` uploads them, if you want that;
with `--wandb-mode online` they go to W&B's server while the run trains.
"""

import collections
import contextlib
import dataclasses
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.config import Config, ConfigError
from ddpg_jax.runs.console.errors import first_line
from ddpg_jax.runs.report.record import read_record
from ddpg_jax.runs.report.settings import flat_settings, shown
from ddpg_jax.runs.storage.directory import METRICS
from ddpg_jax.runs.storage.metrics import Row
from ddpg_jax.runs.storage.tensorboard_events import TENSORBOARD, open_events

WINDOW = 100
TAGS: dict[str, dict[str, str]] = {
    "episode": {"return": "rollout/ep_rew_mean", "length": "rollout/ep_len_mean"},
    "evaluation": {
        "returns": "eval/mean_reward",
        "lengths": "eval/mean_ep_length",
        "discounted_returns": "eval/mean_discounted_reward",
        "q": "eval/mean_q",
    },
    "update": {
        "critic_loss": "train/critic_loss",
        "actor_loss": "train/actor_loss",
        "q": "train/q",
        "target": "train/target",
        "td_error": "train/td_error",
        "critic_grad_norm": "train/critic_grad_norm",
        "actor_grad_norm": "train/actor_grad_norm",
        "saturation": "train/saturation",
        "skipped": "train/skipped_updates",
        "seconds": "time/time_elapsed",
    },
    "probe": {"action_stddev": "train/action_stddev", "q": "train/probe_q"},
}


class Writer(NamedTuple):
    """Where rows go beside the JSON lines.

    Attributes:
        write: takes rows as they come; never raises.
        close: completes what is on disk.
    """

    write: Callable[[list[Row]], None]
    close: Callable[[], None]


class Sink(NamedTuple):
    """One tool's files.

    Attributes:
        write: takes the environment step and figures by tag.
        close: completes what is on disk.
    """

    write: Callable[[int, dict[str, float]], None]
    close: Callable[[], None]


def check_writers(names: Iterable[str], wandb_mode: str = "offline") -> None:
    """Find out whether writers can be opened, before anything is made; offline, nothing is imported.

    Args:
        names: of "tensorboard" and "wandb".
        wandb_mode: "online" if W&B's server is to be asked, which needs a key.

    Raises:
        ConfigError: for each whose package is not installed, with what installs it, or if W&B knows no key.
    """
    missing = [name for name in names if not installed(name)]
    if missing:
        lines = [f"writers: {name} is not installed; pip install 'ddpg_jax[{name}]'" for name in missing]
        raise ConfigError("\n".join(lines))
    if wandb_mode == "online":
        check_login()


def check_login() -> None:
    """Raise ConfigError where W&B has no key for its server; nobody is asked for one."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    try:
        known = wandb.login(prompt=False)
    except wandb.Error as error:
        raise ConfigError(f"wandb_mode = 'online' cannot log in to W&B: {first_line(error)}") from None
    if not known:
        raise ConfigError("wandb_mode = 'online' needs a key of W&B: run wandb login, or set WANDB_API_KEY")


def installed(package: str) -> bool:
    """Whether a package can be imported; a mere directory of that name, as W&B leaves behind, is none."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


def make_writers(names: Sequence[str], path: Path, config: Config, step: int, warn: Callable[[str], None]) -> Writer:
    """Open writers as one; with no name, one that does nothing.

    A writer that fails is switched off, which is said once, and the run goes on.

    Args:
        names: of "tensorboard" and "wandb".
        path: the run directory; its metrics are as the checkpoint knew them.
        config: settings of the run, shown by W&B.
        step: environment steps so far; rows that come are later ones.
        warn: called with a line that a person should read.
    """
    sinks: dict[str, Sink] = {}
    recent = collections.deque(read_record(path).rows["episode"] if names else [], WINDOW)

    def attempt(name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever it is, it is not worth the run
            warn(f"the writer {name} failed and is switched off: {error}; {path / METRICS} has everything")
            with contextlib.suppress(Exception):
                sinks.pop(name).close()

    def open_sink(name: str) -> None:
        sinks[name] = SINKS[name](path, config, step)

    def write(rows: list[Row]) -> None:
        for row in rows if sinks else []:
            if row["kind"] == "episode":
                recent.append(row)
            figures = scalars(row, recent)
            for name, sink in list(sinks.items()):
                attempt(name, partial(sink.write, row["step"], figures))

    def close() -> None:
        for name, sink in list(sinks.items()):
            attempt(name, sink.close)
        sinks.clear()

    for name in names:
        attempt(name, partial(open_sink, name))
    return Writer(write, close)


def scalars(row: Row, recent: Iterable[Row]) -> dict[str, float]:
    """Figures of a row by tag; those that it lacks are left out.

    Args:
        row: of the metrics, of any kind.
        recent: rows of the newest episodes, over which an episode's figures are averaged.
    """
    rows = list(recent) if row["kind"] == "episode" else [row]
    tags = TAGS.get(row["kind"], {})
    found = {tag: mean([each.get(name) for each in rows]) for name, tag in tags.items() if name in row}
    if row.get("seconds"):
        found["time/fps"] = row["step"] / row["seconds"]
    return found


def mean(values: list[Any]) -> float:
    """The mean of numbers or lists of them; None, which stands in a row for what is not finite, is nan."""
    return float(np.mean(np.array(values, float)))


def open_tensorboard(path: Path, config: Config, step: int) -> Sink:
    """An event file in RUN/tensorboard, with the settings as its hyperparameters.

    Events of an earlier file beyond `step` are dropped by TensorBoard when it reads the start of this one.
    """
    from tensorboard.compat.proto.event_pb2 import SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    events = open_events(path / TENSORBOARD)

    def write(step: int, figures: dict[str, float]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
        if values:
            events.add(step=step, summary=Summary(value=values))

    events.add(step=step + 1, session_log=SessionLog(status=SessionLog.START))
    events.add(summary=hparams_pb(hyperparameters(config), trial_id=path.name))
    return Sink(write, events.close)


def hyperparameters(config: Config) -> dict[str, bool | float | str]:
    """Every setting by the name of its flag, as TensorBoard takes it."""
    settings = flat_settings(config).items()
    return {name: value if isinstance(value, bool | int | float | str) else shown(value) for name, value in settings}


def open_wandb(path: Path, config: Config, step: int) -> Sink:
    """A run in RUN/wandb; offline, no request leaves the machine, and in no mode is anything printed or asked."""
    import wandb

    quiet = wandb.Settings(
        mode=config.wandb_mode, silent=True, console="off", symlink=False, disable_git=True, disable_code=True,
        disable_job_creation=True, x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True,
        x_save_requirements=False,
    )  # fmt: skip
    # Its telemetry looks at the settings of the process, and not at those of a run.
    wandb.setup(quiet)
    run = wandb.init(
        dir=path,
        project="ddpg_jax",
        group=path.name,
        name=f"{path.name} from step {step}",
        config=dataclasses.asdict(config),
        reinit="create_new",
        settings=quiet,
    )

    def write(step: int, figures: dict[str, float]) -> None:
        if figures:
            run.log(figures, step=step)

    def close() -> None:
        try:
            run.finish()
        finally:
            wandb.teardown()  # at exit, a process of its own that has died would be answered by a traceback

    return Sink(write, close)


SINKS: dict[str, Callable[[Path, Config, int], Sink]] = {"tensorboard": open_tensorboard, "wandb": open_wandb}
