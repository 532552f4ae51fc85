"""The card of a policy for a hub: README.md in the form of Hugging Face, whose head is YAML, and evaluation.json."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.config import Config, DDPGConfig
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.export import archive
from ddpg_jax.runs.report.settings import flat_settings, shown
from ddpg_jax.runs.storage.directory import SETTINGS, Run
from ddpg_jax.training.evaluation import Evaluation

README, EVALUATION = "README.md", "evaluation.json"
# What hubs play beside a card, and its still pictures.
FILM, SHEET = "replay.mp4", "replay-sheet.png"


class Played(NamedTuple):
    """An evaluation, with what would repeat it.

    Attributes:
        step: environment steps after which the policy was saved.
        seed: of the episodes.
        max_steps: after which an episode was cut, None if it was not.
        evaluation: what was played.
    """

    step: int
    seed: int
    max_steps: int | None
    evaluation: Evaluation


def algorithm(config: DDPGConfig) -> str:
    """What the field calls these settings."""
    if config.num_atoms > 1:
        return "D4PG"
    return "TD3" if config.num_critics > 1 and config.policy_delay > 1 else "DDPG"


def evaluation_json(env_id: str, played: Played) -> dict[str, Any]:
    """What stands in evaluation.json: every return, and what would repeat them."""
    returns = np.asarray(played.evaluation.returns, float)
    return {
        "environment": env_id,
        "step": played.step,
        "episodes": len(returns),
        "seed": played.seed,
        "max_steps": played.max_steps,
        "mean_return": float(returns.mean()),
        "standard_deviation": float(returns.std()),
        "returns": returns.tolist(),
        "lengths": played.evaluation.lengths.tolist(),
    }


def model_card(run: Run, played: Played, files: Iterable[str]) -> str:
    """The text of README.md.

    Args:
        run: whose policy it is.
        played: its evaluation.
        files: names of what lies beside the card.
    """
    present, name = set(files), algorithm(run.config.agent)
    figures = evaluation_json(run.config.env, played)
    mean, spread = figures["mean_return"], figures["standard_deviation"]
    parts = [
        head(run, name, f"{mean:.2f} +/- {spread:.2f}"),
        f"# {name} on {text(run.config.env)}",
        f"A greedy policy after {played.step:,} environment steps, trained with ddpg_jax {version(run)}.",
        f"![Pictures of its episodes]({SHEET})" if SHEET in present else "",
        f"The film is `{FILM}`." if FILM in present else "",
        f"## Evaluation\n\nReturn {format_number(mean)} +- {format_number(spread)}: mean and standard deviation of "
        f"{figures['episodes']} episodes without noise, seed {played.seed}. `{EVALUATION}` has every return.",
        usage(present, run.config.wrappers),
        settings_table(run),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def head(run: Run, name: str, value: str) -> str:
    """The YAML that hubs read. Strings of JSON are strings of YAML, so that text from a file stays text."""
    env, kind = json.dumps(run.config.env), "reinforcement-learning"
    tags = [run.config.env, kind, f"deep-{kind}", name.lower(), "jax", run.preset]
    lines = [f"- {json.dumps(tag)}" for tag in dict.fromkeys(filter(None, tags))]
    return "\n".join(
        [
            "---",
            "library_name: ddpg_jax",
            "tags:",
            *lines,
            f"""\
model-index:
- name: {name}
  results:
  - task:
      type: {kind}
      name: {kind}
    dataset:
      name: {env}
      type: {env}
    metrics:
    - type: mean_reward
      name: mean_reward
      value: {json.dumps(value)}
      verified: false
---""",
        ]
    )


def usage(files: set[str], wrappers: Sequence[str]) -> str:
    """How to act with the policy, from NumPy alone where it was written for that."""
    if archive.FILE not in files:
        return "## Use\n\n`policy.json` names the files of the policy, and what they map from and to."
    wrapped = f" in these wrappers, the innermost first: {', '.join(map(text, wrappers))}" if wrappers else ""
    return f"""## Use

`{archive.LOADER}` needs NumPy alone. Observations and actions are those of the environment{wrapped}. A `Dict` goes in
as a dict of arrays, each with a first axis for the batch.

```python
from load_policy import load_policy

act = load_policy("{archive.FILE}")
action = act(obs[None])[0]
```

`policy.json` describes observations, actions and every file of the policy."""


def settings_table(run: Run) -> str:
    """The settings that are not the defaults."""
    defaults = flat_settings(Config())
    changed = {name: value for name, value in flat_settings(run.config).items() if value != defaults.get(name)}
    rows = "".join(f"| {text(name)} | {text(shown(value))} |\n" for name, value in changed.items())
    preset = f" The preset was `{run.preset}`." if run.preset else ""
    table = f"\n\n| setting | value |\n|---|---|\n{rows}".rstrip() if rows else ""
    return f"## Settings\n\n`{SETTINGS}` has all of them, and the versions of the packages.{preset}{table}"


def version(run: Run) -> str:
    """The version of this package that trained, as the run says."""
    return text(str(run.versions.get("ddpg_jax", "")))


def text(value: str) -> str:
    """Text from a file, which stays text in Markdown and in its tables."""
    return html.escape(" ".join(value.split())).replace("|", "\\|")
