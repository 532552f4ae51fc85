"""README is short, and each of its figures is one of a results file."""

import json
import re

import pytest
from test_extras import EXTRAS

from benchmarks.readme import README

RESULTS = README.parent / "benchmarks" / "results"
TEXT = README.read_text()
WORDS, SENTENCE = 1_200, 25


def results(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def row(first):
    """Cells of the table's row that begins with these words, without that first one."""
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def sentences():
    """Sentences of the prose, each as its words; code, tables, headings and pictures are none."""
    text = re.sub(r"```.*?```", "\n\n", TEXT, flags=re.DOTALL)
    lines = [re.sub(r"^- ", "\n\n", line) for line in text.splitlines() if not line.startswith(("|", "#", "!"))]
    prose = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", "\n".join(lines))
    return [part.split() for part in re.split(r"(?<=[.!?:;])\s+|\n\s*\n", prose) if part.split()]


def test_it_is_short():
    assert len(TEXT.split()) <= WORDS
    assert [" ".join(words) for words in sentences() if len(words) > SENTENCE] == []


def test_its_links_lead_to_files_that_there_are():
    paths = [path for path in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in path]
    assert len(paths) > 8
    assert [path for path in paths if not (README.parent / path).exists()] == []


def test_its_extras_are_those_of_the_package():
    (table,) = re.findall(r"\| extra \| for \|\n(.*?)\n\n", TEXT, re.DOTALL)
    named = [name for line in table.splitlines()[1:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(named) == sorted(EXTRAS)
    used = {name for names in re.findall(r"'\.\[([\w,]+)\]'", TEXT) for name in names.split(",")}
    assert used
    assert used <= set(EXTRAS)


SIDES = {
    "ddpg_jax": "training",
    "PyTorch, same algorithm": "PyTorch loop",
    "Stable-Baselines3 DDPG": "SB3",
    "SBX DDPG (JAX)": "SBX",
}


@pytest.fixture(scope="module")
def training():
    """Rates and ratios on Pendulum, by batch size."""
    points = results("intel-xeon-2-threads")["sections"]["training"]["results"]
    return {point["batch_size"]: point for point in points if point["batch_size"]}


def test_rates_are_those_of_the_results(training):
    for name, side in SIDES.items():
        cells = row(name)
        assert cells == [f"{training[size]['per_second'][side][1]:,.0f}" for size in (64, 256)], name
    assert f"{training[256]['ratios']['training / SB3'][1]:.2f} times" in TEXT


def test_what_is_said_of_a_later_build_is_what_was_measured():
    points = results("amd-epyc-avx512-builds")["results"]
    kept = {point["case"]: point["ratios"]["this / other"][1] for point in points}
    small, large = kept["Gymnasium, batch 64"], kept["Gymnasium, batch 256"]
    assert f"the rate is {small:.2f} (batch 64) and {large:.2f} (batch 256) of the one before" in TEXT


def test_returns_are_those_of_the_results():
    curves = results("intel-xeon-2-threads")["sections"]["learning_parity"]["results"]["curves"]
    ours, torch = curves["ddpg_jax"], curves["PyTorch"]
    assert row("Pendulum-v1, 10,000 steps") == [
        str(ours["seeds"]), f"{ours['final mean']:.1f}", f"{torch['final mean']:.1f}: PyTorch, same algorithm",
    ]  # fmt: skip
    tasks = results("tasks")["results"]
    car = tasks["mountain-car"]
    assert row("MountainCarContinuous-v0, 300,000 steps")[:2] == [
        str(len(car["seeds"])), f"{car['interquartile_mean'][0]:.1f}",
    ]  # fmt: skip
    seen, plain = (tasks[name]["success_rates"] for name in ("fetch-her-2000", "fetch-plain-2000"))
    assert row("FetchReach-v4, 2,000 steps, hindsight") == [
        str(len(seen)), f"{min(seen):.0%} success".replace("%", " %"),
        f"{min(plain):.0%} to {max(plain):.0%}: without hindsight".replace("%", " %"),
    ]  # fmt: skip


def test_what_its_commands_end_at_is_what_they_ended_at():
    found = {run["command"]: run for run in results("amd-epyc-avx512-readme")["results"]}
    ended = [re.search(r"return (\S+)", run["printed"])[1] for run in found.values()]
    text = "The second and the third training command above end at returns of {} and {} on Pendulum"
    assert text.format(*ended[1:]) in TEXT
    assert found["ddpg-jax train"]["printed"] in TEXT


def test_the_threshold_is_gymnasiums():
    gymnasium = pytest.importorskip("gymnasium")
    threshold = gymnasium.spec("MountainCarContinuous-v0").reward_threshold
    assert row("MountainCarContinuous-v0, 300,000 steps")[2] == f"{threshold:g}: Gymnasium's threshold"


def test_as_many_runs_were_killed_as_it_says():
    environments = results("durability-kills")["results"]["environments"].values()
    equal = sum(environment["killed_and_equal"] for environment in environments)
    assert equal == sum(environment["killed"] for environment in environments)
    assert f"{equal} killed runs ended with the bits" in TEXT
