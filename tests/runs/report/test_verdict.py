"""Verdicts on runs made up by hand, with near misses of each kind, and on real ones, kept beside this file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ddpg_jax.config import Config, validate
from ddpg_jax.presets import find_preset
from ddpg_jax.runs.console.flags import section_flags
from ddpg_jax.runs.report.record import KINDS, Record, read_record
from ddpg_jax.runs.report.verdict import judge
from ddpg_jax.runs.storage.directory import Run

FIGURES = (
    "learning", "q_target", "losses", "grad_norms", "td_error", "saturation", "q_return", "policy", "q_map", "speed",
)  # fmt: skip
STEPS, EPISODES, LENGTH, GAMMA = 20_000, 10, 200, 0.98
# The most that rewards of these runs add up to, |-1360 / 200| / (1 - 0.98), roughly.
VALUE = 340
BASE = find_preset("pendulum").config
BASE = replace(BASE, train=replace(BASE.train, total_steps=STEPS))


def settings(**sections):
    """The settings of all runs made up here, with some changed: `settings(train={"start_steps": 0})`."""
    return validate(replace(BASE, **{name: replace(getattr(BASE, name), **to) for name, to in sections.items()}))


def episodes(mean, stddev, seed):
    """Returns of some episodes with exactly this mean and standard deviation, or those that are given."""
    noise = np.random.default_rng(seed).normal(size=EPISODES)
    return mean + stddev * (noise - noise.mean()) / noise.std() if np.ndim(mean) == 0 else np.array(mean, float)


def made(
    means,
    stddev=80,
    config=BASE,
    q=None,
    saturation=0.4,
    action_stddev=0.5,
    loss=1e-4,
    skipped=0,
    length=LENGTH,
    scale=1,
):
    """A run with an evaluation every thousand steps, the first one before anything was learned.

    Args:
        means: mean return of each evaluation, or all returns of it.
        stddev: of the returns of each.
        config: settings.
        q: what the critic promises, a function of time in [0, 1] and the discounted return; that one by default.
        saturation: of the actor.
        action_stddev: of the actions in the memory.
        loss: of the critic, at each evaluation or always.
        skipped: updates, in the end.
        length: of all episodes.
        scale: of all rewards.
    """
    rows, loss = {kind: [] for kind in KINDS}, np.broadcast_to(loss, len(means))
    for index, mean in enumerate(means):
        step = (index + 1) * 1_000
        returns = episodes(mean, stddev, index)
        returned = returns / length * (1 - GAMMA**length) / (1 - GAMMA)
        predicted = returned if q is None else q(index / (len(means) - 1), returned)
        evaluation = {"returns": returns, "discounted_returns": returned, "q": predicted}
        evaluation = {name: (values * scale).tolist() for name, values in evaluation.items()}
        rows["evaluation"].append(
            {"kind": "evaluation", "step": step, "lengths": [length] * len(returns), **evaluation}
        )
        rows["episode"] += [
            {"kind": "episode", "step": step - 1_000 + (i + 1) * length, "env": 0, "return": value, "length": length}
            for i, value in enumerate(evaluation["returns"][: 1_000 // length])
        ]
        if step > config.train.update_after:
            update = {"critic_loss": loss[index] * scale**2, "q": predicted.mean() * scale, "saturation": saturation}
            rows["update"].append({"kind": "update", "step": step, "seconds": 1.0, "skipped": skipped, **update})
            rows["probe"].append({"kind": "probe", "step": step, "action_stddev": action_stddev})
    return Record(Run(Path("run"), config, {}), rows, 0)


def rising_to(end, start=-1200, steps=6, count=20):
    """Mean returns that rise and stay."""
    return [start, *np.linspace(start, end, steps), *[end + 10 * (-1) ** i for i in range(count - steps - 1)]]


def growing(values):
    """Q that promises, in the end, so many times the largest value beyond what is earned."""
    return lambda time, returned: returned + values * VALUE * np.expm1(4 * time) / np.expm1(4)


def without(record, *names):
    """The same rows as an older version wrote them."""
    rows = {
        kind: [{k: v for k, v in row.items() if k not in names} for row in found] for kind, found in record.rows.items()
    }
    return record._replace(rows=rows)


def only(record, *kinds):
    """A run that wrote nothing else."""
    return record._replace(rows={kind: found if kind in kinds else [] for kind, found in record.rows.items()})


def longer(record):
    """The same run with one episode that took longer, as a time limit may have ended it."""
    return record._replace(rows={**record.rows, "episode": [*record.rows["episode"], {"return": 0.0, "length": 200}]})


FLAT = [-1200 + 30 * (-1) ** i for i in range(20)]
LEARNED = rising_to(-150)
FALLEN = [*LEARNED[:16], -1150, -1180, -1190, -1200]
SPARSE = [[0.0] * 10] * 8 + [[0.0] * 6 + [1.0] * 4] * 12
GREEDY = settings(exploration={"kind": "greedy"}, train={"start_steps": 0})
NO_NOISE = settings(exploration={"stddev": 0.0}, train={"start_steps": 0})
FADED = settings(exploration={"final_stddev": 0.0, "decay_steps": 1_000}, train={"start_steps": 0})
FADING = settings(exploration={"final_stddev": 0.0, "decay_steps": 15_000}, train={"start_steps": 0})
HALF_RANDOM = settings(exploration={"stddev": 0.0}, train={"start_steps": 10_000})
LONG = settings(train={"total_steps": 1_000_000})
LATE = settings(train={"update_after": 1_500})
UNDISCOUNTED = settings(replay={"discount": 1.0})
RATES = settings(agent={"actor_lr": 0.1, "critic_lr": 0.1})

RUNS = {
    "learning": {
        "learned, and flat since": made(LEARNED),
        "still rising": made(np.linspace(-1200, -150, 20)),
        "from negative to positive": made(rising_to(900)),
        "positive rewards": made(rising_to(1000, start=50)),
        "worth more than it earns, since only a time limit ends it": made(
            rising_to(100, start=5, count=20), stddev=1, length=20, q=lambda time, returned: returned / (1 - GAMMA**20)
        ),
        "sparse rewards, found": made(SPARSE),
        "one bad evaluation in the middle": made([*LEARNED[:12], -1100, *LEARNED[13:]]),
        "a last evaluation that is worse, and not by half": made([*LEARNED[:-1], -500]),
        "actions at the bounds, as good policies have them": made(LEARNED, saturation=0.97),
        "like actions in the memory, as standing still fills it": made(LEARNED, action_stddev=0.12),
        "no noise, and none needed": made(LEARNED, config=GREEDY),
        "Q too high, and settled": made(LEARNED, q=lambda time, returned: returned + 1.4 * VALUE),
        "Q too high, and growing a little": made(LEARNED, q=growing(1.1)),
        "Q too high by two thirds and growing, of episodes that only a time limit ends": made(
            rising_to(100, start=5),
            stddev=1,
            length=20,
            q=lambda time, returned: returned * (1 + 0.7 * time) / (1 - GAMMA**20),
        ),
        "two evaluations": made([-1200, -700, -150]),
        "nothing played before learning": made(LEARNED)._replace(
            rows={**made(LEARNED).rows, "evaluation": made(LEARNED).rows["evaluation"][1:], "episode": []}
        ),
        "evaluations of one episode, the last of them bad": made([LEARNED[0], *[[v] for v in LEARNED[1:-1]], [-1100]]),
        "a discount of 1": made(LEARNED, config=UNDISCOUNTED),
        "one update skipped": made(LEARNED, skipped=1),
        "few steps": made(rising_to(-150, steps=3, count=5)),
        "a dip on the way": made([-1200, -400, -1000, -300]),
        "steep": made([-1200, -1400, -740, -147, -220]),
        "a twentieth of what is planned": made(LEARNED, config=LONG),
        "noisy": made(rising_to(-600), stddev=400),
        "old rows": without(made(LEARNED), "discounted_returns", "q", "saturation", "skipped"),
        "no evaluations": only(made(LEARNED), "update", "episode"),
        "a promise beyond episodes that are cut short of those of the training": longer(
            made(
                rising_to(100, start=5),
                stddev=1,
                length=20,
                q=lambda time, returned: returned + 400 * time,
                config=settings(train={"eval_steps": 20}),
            )
        ),
        "one evaluation": made(LEARNED)._replace(
            rows={**made(LEARNED).rows, "evaluation": made(LEARNED).rows["evaluation"][-1:]}
        ),
    },
    "plateau": {
        "flat": made(FLAT),
        "worse": made([-1000, *FLAT[1:]]),
        "ups and downs that come to nothing": made([-1200, *[-1300, -900] * 9, -1000], stddev=20),
        "better by less than episodes differ": made([-1200] + [-1050] * 19, stddev=300),
        "better by less than episodes differ, of which there are many": made(
            [np.linspace(-1700, -700, 100), *[-1050] * 19], stddev=300
        ),
        "never a reward": made([[0.0] * 10] * 20),
        "a single reward": made([*[[0.0] * 10] * 19, [0.0] * 9 + [1.0]]),
        "many actions at the bounds, and not most": made(FLAT, saturation=0.85),
        "noise that fades late": made(FLAT, config=FADING),
        "half of all steps random": made(FLAT, config=HALF_RANDOM),
        "fallen back": made(FALLEN),
        "fallen back at the very end": made([*LEARNED[:-1], -1100]),
        "old rows": without(made(FLAT), "discounted_returns", "q", "saturation", "skipped"),
        "Q that begins at 0 where all rewards are costs": made(FLAT, q=lambda time, returned: returned * time),
    },
    "diverging critic": {
        "a growing promise": made(FLAT, q=growing(2)),
        "a growing promise, and a good return": made(LEARNED, q=growing(2)),
        "a growing promise, and a good return that a time limit ends": made(
            rising_to(1000, start=50), length=20, q=growing(200)
        ),
        "a growing promise where episodes end by themselves": longer(
            made(rising_to(100, start=5), stddev=1, length=20, q=lambda time, returned: returned + 400 * time)
        ),
        "a growing promise at a discount of 1": made(
            rising_to(1000, start=50), config=UNDISCOUNTED, q=lambda time, returned: returned + 20_000 * time
        ),
        "far below any reward": made(FLAT, q=lambda time, returned: returned - 10 * VALUE * time),
        "an error without a measure": made(FLAT, loss=np.geomspace(1, (20 * VALUE) ** 2, 20)),
        "old rows, with Q of the batches only": without(made(FLAT, q=growing(20)), "discounted_returns"),
        "without a reward ever": made([[0.0] * 10] * 20, q=lambda time, returned: returned + 100 * time),
        "skipped updates": made(FLAT, skipped=3_000),
        "a fall after learning": made(FALLEN, q=growing(3)),
        "an actor at its bounds as well": made(FLAT, q=growing(20), saturation=1.0, config=RATES),
    },
    "saturated actor": {
        "flat": made(FLAT, saturation=1.0, config=RATES),
        "fallen back": made(FALLEN, saturation=0.98),
        "one action in the memory because of it": made(FLAT, saturation=1.0, action_stddev=0.1),
        "few steps": made(FLAT[:4], saturation=1.0),
    },
    "dead exploration": {
        "greedy": made(FLAT, config=GREEDY),
        "no standard deviation": made(FLAT, config=NO_NOISE),
        "one action, at the bounds": made(FLAT, config=NO_NOISE, saturation=1.0, action_stddev=0.1),
        "one action, soon": made(FLAT[:4], config=GREEDY, action_stddev=0.01),
        "gone early": made(FLAT, config=FADED),
        "like actions in the memory": made(FLAT, action_stddev=0.1),
        "a return that rises by nothing, and one action": made(
            np.linspace(-1e-3, -1e-4, 20), stddev=1e-6, config=NO_NOISE, action_stddev=0.01, length=1000
        ),
        "old rows": only(made(FLAT, config=GREEDY), "update", "episode", "evaluation"),
    },
    "too few steps": {
        "nothing": only(made(FLAT)),
        "episodes only": only(made(FLAT), "episode"),
        "before learning": made(FLAT[:1]),
        "a fresh actor that happens to be at its bounds": made(FLAT[:2], saturation=1.0, config=LATE),
        "not better after 3,000 updates": made(FLAT[:4]),
        "no noise, 3,000 updates, and all kinds of actions": made(FLAT[:4], config=GREEDY),
        "better after 500 updates": made([-1200, -150], config=LATE),
        "a fiftieth of what is planned": made(FLAT, config=LONG),
        "one episode after learning": made([-1200, [-150.0]]),
        "one episode, and one before": made([[-1200.0], [-150.0]], length=1000),
        "no episode yet": only(made(FLAT), "update"),
    },
}
CASES = [pytest.param(kind, run, id=f"{kind}: {name}") for kind, runs in RUNS.items() for name, run in runs.items()]
ILL = [case for case in CASES if case.values[0] not in ("learning", "too few steps")]


@pytest.mark.parametrize(("kind", "run"), CASES)
def test_made_up_runs(kind, run):
    verdict = judge(run)
    assert verdict.kind == kind, verdict
    assert verdict.figure in FIGURES
    assert not set("".join([verdict.headline, *verdict.reasons])) & set("{}"), verdict
    assert "nan" not in f"{verdict.headline} {verdict.reasons}".split(), verdict


@pytest.mark.parametrize(("kind", "run"), ILL)
def test_every_illness_has_one_or_two_settings_to_try_which_are_allowed_and_not_what_they_are(kind, run):
    remedies, config = judge(run).remedies, run.run.config
    assert 1 <= len(remedies) <= 2
    for remedy in remedies:
        flag, value, now = remedy.replace("(it is ", "").rstrip(")").split()
        assert flag in dict(section_flags(Config()))
        section, name = flag.removeprefix("--").replace("-", "_").split(".")
        old = getattr(getattr(config, section), name)
        new = (float if old is None else type(old))(value)
        assert new != old
        assert now == (f"{old:g}" if isinstance(old, float) else str(old))
        validate(replace(config, **{section: replace(getattr(config, section), **{name: new})}))


@pytest.mark.parametrize("scale", [1e-3, 1e6])
@pytest.mark.parametrize(
    ("kind", "means", "options"),
    [
        ("learning", LEARNED, {}),
        ("plateau", FLAT, {}),
        ("diverging critic", LEARNED, {"q": growing(2)}),
        ("diverging critic", FLAT, {"loss": np.geomspace(1, (20 * VALUE) ** 2, 20)}),
        ("saturated actor", FLAT, {"saturation": 1.0}),
    ],
)
def test_the_unit_of_the_reward_changes_nothing(kind, means, options, scale):
    verdict = judge(made(means, scale=scale, **options))
    assert verdict.kind == kind, verdict
    assert verdict.figure == judge(made(means, **options)).figure


def test_the_figure_is_the_one_that_shows_it():
    figures = {
        "learned, and flat since": "learning",
        "a growing promise": "q_return",
        "old rows, with Q of the batches only": "q_target",
        "an error without a measure": "losses",
        "skipped updates": "grad_norms",
        "one action in the memory because of it": "saturation",
        "like actions in the memory": "policy",
        "fallen back": "learning",
    }
    runs = {name: run for kind in reversed(RUNS) for name, run in RUNS[kind].items()}
    assert {name: judge(runs[name]).figure for name in figures} == figures


def test_words_tell_a_run_that_learned_from_one_that_still_does_and_one_that_fell_back():
    assert judge(made(LEARNED)).headline == "Learned: the mean return rose from -1,200.0 to -140.0, and stays there."
    assert "still rises" in judge(made(np.linspace(-1200, -150, 20))).headline
    fallen = judge(made(FALLEN))
    words = "the mean return was -148.0 in its best stretch and is -1,200.0 now."
    assert fallen.headline == f"It had learned and fell back: {words}"
    assert judge(made([*LEARNED[:-1], -1100])).headline.startswith("It had learned, and its last policy is a bad one:")
    assert "--agent.actor-lr 0.0003 (it is 0.001)" in fallen.remedies
    assert judge(made(FALLEN, saturation=1.0)).headline.endswith("and the return has fallen back.")
    assert judge(made(FLAT, saturation=1.0)).headline.endswith("and the return is no better than at the start.")
    assert not judge(made(LEARNED)).remedies, "nothing is wrong"


def test_settings_to_try_are_those_that_are_off():
    assert judge(made(FLAT, config=RATES, saturation=1.0)).remedies == (
        "--agent.actor-lr 0.0001 (it is 0.1)",
        "--agent.critic-lr 0.001 (it is 0.1)",
    )
    assert judge(made(FLAT, config=RATES, q=growing(2))).remedies[0] == "--agent.critic-lr 0.001 (it is 0.1)"
    assert judge(made(FLAT, config=NO_NOISE)).remedies == (
        "--exploration.stddev 0.2 (it is 0)",
        "--train.start-steps 1000 (it is 0)",
    )
    assert judge(made(FLAT, config=GREEDY)).remedies[0] == "--exploration.kind gaussian (it is greedy)"
    assert judge(made(FLAT, config=FADED)).remedies[0] == "--exploration.final-stddev 0.05 (it is 0)"


def test_a_run_that_is_still_being_written_has_nothing_to_try_and_one_that_ended_has_more_steps():
    writing, ended = made(FLAT[:4]), made(FLAT[:4], config=settings(train={"total_steps": 4_000}))
    assert judge(writing).headline == "Too early to say: 4,000 of 20,000 steps, 3,000 updates."
    assert not judge(writing).remedies
    assert judge(ended).remedies == ("--train.total-steps 20000 (it is 4000)",)


def test_noise_that_was_not_needed_is_said():
    assert "though exploration.kind is greedy" in judge(made(LEARNED, config=GREEDY)).headline
    assert "though" not in judge(made(LEARNED)).headline


JUNK = [None, float("nan"), float("inf"), 10**400, "text", [], [None], {}]


@pytest.mark.parametrize("value", JUNK, ids=lambda value: repr(value)[:8])
@pytest.mark.parametrize("kind", KINDS[:4])
def test_a_row_that_holds_something_else_changes_no_verdict(kind, value):
    run = made(LEARNED)
    for name in {name for row in run.rows[kind] for name in row} - {"kind"}:
        rows = [dict(row) for row in run.rows[kind]]
        rows[len(rows) // 2][name] = value
        assert judge(run._replace(rows={**run.rows, kind: rows})).kind == "learning", name


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_hold_nothing_have_a_verdict_too(kind):
    run = made(FLAT)
    verdict = judge(run._replace(rows={**run.rows, kind: [{"kind": kind}] * 3}))
    assert verdict.kind in ("plateau", "too few steps")


SHARED = settings(train={"num_envs": 8})


@pytest.mark.parametrize("means", [FLAT, LEARNED, FLAT[:4]])
def test_far_fewer_updates_than_steps_are_named_in_every_verdict(means):
    verdict = judge(made(means, config=SHARED))
    assert "--train.updates-per-step 8 makes one for each environment step." in verdict.reasons[-1]
    if verdict.remedies:
        assert verdict.remedies[0] == "--train.updates-per-step 8 (it is 1)"


def test_a_run_that_made_no_update_is_told_which_setting_left_none():
    late = settings(train={"start_steps": 25_000, "update_after": 25_000})
    verdict = judge(only(made(FLAT, config=late), "episode", "evaluation"))
    assert verdict.kind == "too few steps"
    assert verdict.reasons[-1] == "No update in 20,000 environment steps: train.update_after is 25,000."
    assert verdict.remedies[0] == "--train.update-after 1000 (it is 25000)"


REAL = Path(__file__).parent / "real"


@pytest.mark.parametrize(
    ("name", "command", "kind", "headline"),
    [
        ("good", "ddpg-jax train", "learning", "Learned: the mean return rose from -1,068"),
        (
            "fast",
            "ddpg-jax train --agent.actor-lr 0.1 --agent.critic-lr 0.1",
            "saturated actor",
            "The actor is stuck at its bounds: 100% of its outputs are beyond 0.99",
        ),
        # Pendulum begins everywhere by itself: without any exploration it ends at -149, as the good run does at -148.
        (
            "greedy",
            "ddpg-jax train --exploration.kind greedy --train.start-steps 0",
            "learning",
            "Learned, though exploration.kind is greedy",
        ),
        # A car in a valley does not: it never moved.
        (
            "still",
            "ddpg-jax train --env MountainCarContinuous-v0 --preset pendulum --train.total-steps 12000 "
            "--exploration.stddev 0 --train.start-steps 0",
            "dead exploration",
            "It does not explore: exploration.stddev is 0.",
        ),
    ],
)
def test_real_runs(name, command, kind, headline):
    """What `command` wrote: its settings and its metrics."""
    record = read_record(REAL / name)
    words = command.split()[2:]
    for flag, value in zip(words[::2], words[1::2], strict=True):
        found = record.run.config
        for part in flag.removeprefix("--").replace("-", "_").split("."):
            found = getattr(found, part, value)
        assert type(found)(value) == found, f"the settings are not those of {command}"
    verdict = judge(record)
    assert verdict.kind == kind
    assert verdict.headline.startswith(headline), verdict
