"""Wrong input, as a person types it or as a damaged file holds it: exit code 2, a line for each problem, nothing else.

Each case names what its lines must begin with; they come after `ddpg-jax: error: `.
"""

import json
import shlex

import jax
import pytest

from ddpg_jax.runs.console import cli

ERROR = "ddpg-jax: error: "
ONE_OF_FIVE = "must be one of 'relu', 'tanh', 'elu', 'gelu', 'silu'"
ONE_OF_FOUR = "must be one of 'gaussian', 'ou', 'uniform', 'greedy'"
INT32 = "must be in [1, 2147483647]"
AT_MOST_INT32 = "must be at most 2147483647"
AT_MOST_FLOAT32 = "must be at most 3.4028234e+38"

WRONG_TYPE = [
    ("--seed 1.5", "seed = '1.5' must be int"),
    ("--seed x", "seed = 'x' must be int"),
    ("--seed ''", "seed = '' must be int"),
    ("--env-timeout soon", "env_timeout = 'soon' must be float | None"),
    ("--env-retries 1.5e0", "env_retries = '1.5e0' must be int"),
    ("--train.total-steps 1e-5", "train.total_steps = '1e-5' must be int"),
    ("--agent.tau abc", "agent.tau = 'abc' must be float"),
    ("--agent.hidden-sizes ''", "agent.hidden_sizes = ('',) must be tuple[int, ...]"),
    ("--agent.hidden-sizes 64,,64", "agent.hidden_sizes = (64, '', 64) must be tuple[int, ...]"),
    ("--agent.hidden-sizes 64,1.5e0", "agent.hidden_sizes = (64, '1.5e0') must be tuple[int, ...]"),
    ("--agent.hidden-sizes 64 wide", "agent.hidden_sizes = (64, 'wide') must be tuple[int, ...]"),
    ("--agent.max-grad-norm none", "agent.max_grad_norm = 'none' must be float | None"),
    ("--agent.num-critics 2.0", "agent.num_critics = '2.0' must be int"),
    ("--replay.batch-size 0x10", "replay.batch_size = '0x10' must be int"),
    ("--exploration.stddev 10%", "exploration.stddev = '10%' must be float"),
    ("--train.log-every 1k", "train.log_every = '1k' must be int"),
    ("--checkpoint.minutes five", "checkpoint.minutes = 'five' must be float"),
]

NOT_A_NUMBER = [
    ("--agent.actor-lr nan", "agent.actor_lr = nan must be > 0"),
    ("--agent.critic-lr inf", "agent.critic_lr = inf must be > 0"),
    ("--agent.tau nan", "agent.tau = nan must be in (0, 1]"),
    ("--agent.max-grad-norm nan", "agent.max_grad_norm = nan must be > 0, or None for no clipping"),
    ("--replay.discount nan", "replay.discount = nan must be in [0, 1]"),
    ("--exploration.stddev inf", "exploration.stddev = inf must be >= 0"),
    ("--exploration.theta nan", "exploration.theta = nan must be > 0"),
    ("--checkpoint.minutes nan", "checkpoint.minutes = nan must be >= 0"),
    ("--env-timeout inf", "env_timeout = inf must be > 0, or None"),
]

TOO_SMALL = [
    ("--seed -1", "seed = -1 must be in [0, 2147483647]"),
    ("--env-timeout 0", "env_timeout = 0.0 must be > 0, or None"),
    ("--env-retries -1", "env_retries = -1 must be >= 0"),
    ("--agent.hidden-sizes 0", "agent.hidden_sizes = (0,) must be one or more sizes >= 1"),
    ("--agent.hidden-sizes 64,0", "agent.hidden_sizes = (64, 0) must be one or more sizes >= 1"),
    ("--agent.hidden-sizes 64 -64", "agent.hidden_sizes = (64, -64) must be one or more sizes >= 1"),
    ("--agent.actor-lr 0", "agent.actor_lr = 0.0 must be > 0"),
    ("--agent.tau=-0.1", "agent.tau = -0.1 must be in (0, 1]"),
    ("--agent.num-critics 0", "agent.num_critics = 0 must be >= 1"),
    ("--agent.policy-delay 0", "agent.policy_delay = 0 must be >= 1"),
    ("--agent.target-noise-clip -1", "agent.target_noise_clip = -1.0 must be >= 0"),
    ("--replay.capacity 0", f"replay.capacity = 0 {INT32}"),
    ("--replay.batch-size 0", "replay.batch_size = 0 must be >= 1"),
    ("--replay.n-step 0", "replay.n_step = 0 must be >= 1"),
    ("--exploration.decay-steps -5", "exploration.decay_steps = -5 must be >= 0"),
    ("--exploration.dt 0", "exploration.dt = 0.0 must be > 0"),
    ("--train.num-envs 0", "train.num_envs = 0 must be >= 1"),
    ("--train.total-steps -1", f"train.total_steps = -1 {INT32}"),
    ("--train.update-after 0", "train.update_after = 0 must be >= 1"),
    ("--train.updates-per-step 0", "train.updates_per_step = 0 must be >= 1"),
    ("--train.log-every 0", "train.log_every = 0 must be >= 1"),
    ("--train.final-eval-episodes -1", "train.final_eval_episodes = -1 must be >= 0"),
    ("--train.eval-steps 0", "train.eval_steps = 0 must be >= 1, or None"),
    ("--train.probe-every -1", "train.probe_every = -1 must be >= 0"),
    ("--writers tensorbord", "writers = ('tensorbord',) must be any of 'tensorboard', 'wandb'"),
    ("--writers wandb wandb", "writers = ('wandb', 'wandb') must be each at most once"),
    ("--writers", "option --writers needs a value"),
    ("--liv", "option --liv is unknown; did you mean --live?"),
    ("--train.max-skipped-updates 0", "train.max_skipped_updates = 0 must be >= 1"),
    ("--checkpoint.every -1", "checkpoint.every = -1 must be >= 0"),
    ("--checkpoint.minutes -0.5", "checkpoint.minutes = -0.5 must be >= 0"),
    ("--checkpoint.keep 0", "checkpoint.keep = 0 must be >= 1"),
]

TOO_LARGE = [
    (f"--seed {2**31}", "seed = 2147483648 must be in [0, 2147483647]"),
    (f"--env-retries {2**40}", f"env_retries = 1099511627776 {AT_MOST_INT32}"),
    ("--env-timeout 1e7", "env_timeout = 10000000.0 must be at most 1000000 seconds"),
    (f"--agent.hidden-sizes 64 {2**31}", f"agent.hidden_sizes = (64, 2147483648) {AT_MOST_INT32}"),
    (f"--agent.policy-delay {2**31}", f"agent.policy_delay = 2147483648 {AT_MOST_INT32}"),
    (f"--agent.lr-decay-updates {2**40}", f"agent.lr_decay_updates = 1099511627776 {AT_MOST_INT32}"),
    ("--agent.tau 1.0001", "agent.tau = 1.0001 must be in (0, 1]"),
    ("--agent.actor-lr 1e39", f"agent.actor_lr = 1e+39 {AT_MOST_FLOAT32}"),
    (f"--replay.capacity {2**31}", f"replay.capacity = 2147483648 {INT32}"),
    (f"--replay.capacity 1{'0' * 100}", f"replay.capacity = 1{'0' * 79}... {INT32}"),
    ("--replay.capacity 1e10", f"replay.capacity = 10000000000 {INT32}"),
    (f"--replay.n-step {2**40}", f"replay.n_step = 1099511627776 {AT_MOST_INT32}"),
    ("--replay.discount 1.5", "replay.discount = 1.5 must be in [0, 1]"),
    ("--exploration.stddev 1e300", f"exploration.stddev = 1e+300 {AT_MOST_FLOAT32}"),
    (
        f"--exploration.final-stddev 0.1 --exploration.decay-steps {2**31}",
        f"exploration.decay_steps = 2147483648 {AT_MOST_INT32}",
    ),
    (f"--train.total-steps {2**40}", f"train.total_steps = 1099511627776 {INT32}"),
    (
        f"--train.total-steps {2**31 - 1} --train.num-envs 4",
        "train.total_steps = 2147483647 must be at most 2147483644 with train.num_envs = 4",
    ),
    (
        f"--train.total-steps {2**31 - 1} --train.updates-per-step 2 --train.update-after 10",
        "train.total_steps = 2147483647 must be at most 1073741833 with train.num_envs = 1",
    ),
    (f"--train.num-envs {2**31}", f"train.num_envs = 2147483648 {AT_MOST_INT32}"),
    (f"--train.log-every {2**31}", f"train.log_every = 2147483648 {AT_MOST_INT32}"),
    (f"--train.final-eval-episodes {2**40}", f"train.final_eval_episodes = 1099511627776 {AT_MOST_INT32}"),
    (f"--checkpoint.keep {2**40}", f"checkpoint.keep = 1099511627776 {AT_MOST_INT32}"),
]

NOT_TOGETHER = [
    (
        "--replay.capacity 100",
        "replay.batch_size = 128 must be at most replay.capacity = 100; lower the one or raise the other",
    ),
    (
        "--replay.capacity 8 --replay.batch-size 8 --train.num-envs 9",
        "replay.capacity = 8 must hold at least one step of train.num_envs = 9 environments; raise it",
    ),
    (
        "--exploration.final-stddev 0.1",
        "exploration.final_stddev = 0.1 needs exploration.decay_steps, or exploration.decay_rate",
    ),
    (
        "--exploration.decay-steps 10",
        "exploration.decay_steps = 10 needs exploration.final_stddev",
    ),
    (
        "--exploration.theta 0.5 --exploration.dt 4",
        "exploration.theta = 0.5 times exploration.dt = 4.0 must be below 2, or the noise grows without end; lower dt",
    ),
]

UNKNOWN = [
    ("--agent.activation rellu", f"agent.activation = 'rellu' {ONE_OF_FIVE}; did you mean 'relu'?"),
    ("--agent.activation RELU", f"agent.activation = 'RELU' {ONE_OF_FIVE}; known are relu, tanh, elu, gelu, silu"),
    (
        "--agent.normalization bach",
        "agent.normalization = 'bach' must be one of 'layer', 'batch', 'none'; did you mean 'batch'?",
    ),
    ("--exploration.kind gausian", f"exploration.kind = 'gausian' {ONE_OF_FOUR}; did you mean 'gaussian'?"),
    ("--preset pendelum", "preset 'pendelum' is unknown; did you mean 'pendulum'?"),
    ("--preset=zzz", "preset 'zzz' is unknown; known are default, "),
    ("--preset ''", "preset '' is unknown; known are default, "),
    ("--preset td3 --preset tdd3", "preset 'tdd3' is unknown; did you mean 'td3'?"),
    ("--env Pendulumm-v1", "environment 'Pendulumm-v1' cannot be made: "),
    ("--env Pendulum-v1/", "environment 'Pendulum-v1/' cannot be made: "),
    ("--env ''", "environment '' cannot be made: "),
    ("--env no_such_package:World-v0", "environment 'no_such_package:World-v0' cannot be made: "),
    ("--env gymnax/Pendulum-v9", "gymnax has no environment 'Pendulum-v9'; "),
    ("--env gymnax/", "gymnax has no environment ''; "),
    ("--env CartPole-v1", "CartPole-v1 has the action space Discrete(2); DDPG needs a Box of real numbers"),
]

OPTIONS = [
    ("--agent.taw 0.1", "option --agent.taw is unknown; did you mean --agent.tau?"),
    ("--agent.taw=0.1", "option --agent.taw is unknown; did you mean --agent.tau?"),
    ("--agent 3", "option --agent is unknown; did you mean --agent."),
    ("--Seed 3", "option --Seed is unknown; did you mean --seed?"),
    ("--xyz", "option --xyz is unknown; see ddpg-jax train --help"),
    ("pendulum", "option pendulum is unknown; see ddpg-jax train --help"),
    ("--seed 3 4", "option 4 is unknown; see ddpg-jax train --help"),
    ("--agent.tau", "option --agent.tau needs a value; see ddpg-jax train --help"),
    ("--agent.hidden-sizes", "option --agent.hidden-sizes needs a value; see ddpg-jax train --help"),
    ("--agent.hidden_sizes --seed 3", "option --agent.hidden_sizes needs a value; see ddpg-jax train --help"),
    ("--env", "option --env needs a value; see ddpg-jax train --help"),
    ("--preset --seed 3", "option --preset needs a value; see ddpg-jax train --help"),
    ("--run-dir", "option --run-dir needs a value; see ddpg-jax train --help"),
]

# Of an option that is given twice the last value counts.
SEVERAL = [
    ("--agent.tau 0.1 --agent.tau 7", "agent.tau = 7.0 must be in (0, 1]"),
    ("--train.log-every 0 --train.num-envs 0", "train.num_envs = 0 must be >= 1", "train.log_every = 0 must be >= 1"),
    (
        "--checkpoint.keep 0 --exploration.kind oo --replay.n-step x --agent.tau 2 --seed -1",
        "seed = -1 must be in [0, 2147483647]",
        "agent.tau = 2.0 must be in (0, 1]",
        "replay.n_step = 'x' must be int",
        f"exploration.kind = 'oo' {ONE_OF_FOUR}; did you mean 'ou'?",
        "checkpoint.keep = 0 must be >= 1",
    ),
    (
        "--xyz 1 --agent.taw 2 --sead 3",
        "option --xyz is unknown; see ddpg-jax train --help",
        "option --agent.taw is unknown; did you mean --agent.tau?",
        "option --sead is unknown; did you mean --seed?",
    ),
    (
        "--agent.tau --seed",
        "option --agent.tau needs a value; see ddpg-jax train --help",
        "option --seed needs a value; see ddpg-jax train --help",
    ),
]

RUN_DIR = [
    ("--run-dir file", "run directory file exists; choose another --run-dir"),
    ("--run-dir folder", "run directory folder exists; choose another --run-dir"),
    ("--run-dir ''", "run directory . exists; choose another --run-dir"),
    ("--run-dir file/run", "run directory file/run cannot be made: "),
    ("--run-dir file/deeper/run", "run directory file/deeper/run cannot be made: "),
    (f"--run-dir {'x' * 300}", f"run directory {'x' * 300} cannot be made: "),
]

COMMAND_LINES = [
    ("trian", "command 'trian' is unknown; did you mean 'train'?"),
    ("--seed 3", "command '--seed' is unknown; known are train, "),
    ("''", "command '' is unknown; known are train, "),
    ("presets td3", "option td3 is unknown; see ddpg-jax presets --help"),
    ("presets --all", "option --all is unknown; see ddpg-jax presets --help"),
    ("evaluate", "evaluate needs a run directory"),
    ("resume", "resume needs a run directory"),
    ("resume nowhere", "nowhere holds no run: "),
    ("resume file", "file holds no run: "),
    ("resume folder", "folder holds no run: "),
    ("resume folder second", "option second is unknown; see ddpg-jax resume --help"),
    ("resume folder --seed 3", "option --seed is unknown; see ddpg-jax resume --help"),
    ("evaluate nowhere", "nowhere holds no run: "),
    ("evaluate file", "file holds no run: "),
    ("evaluate folder", "folder holds no run: "),
    ("evaluate folder --episode 3", "option --episode is unknown; did you mean --episodes?"),
    ("evaluate folder second", "option second is unknown; see ddpg-jax evaluate --help"),
    ("evaluate folder --episodes", "option --episodes needs a value; see ddpg-jax evaluate --help"),
    ("evaluate folder --episodes 0", "episodes = 0 must be in [1, 2147483647]"),
    ("evaluate folder --episodes all", "episodes = 'all' must be int"),
    (f"evaluate folder --episodes {2**40}", "episodes = 1099511627776 must be in [1, 2147483647]"),
    ("evaluate folder --max-steps 0", "max_steps = 0 must be in [1, 2147483647]"),
    ("evaluate folder --max-steps no", "max_steps = 'no' must be int"),
    ("evaluate folder --seed -1", "seed = -1 must be in [0, 2147483647]"),
    (f"evaluate folder --seed {2**40}", "seed = 1099511627776 must be in [0, 2147483647]"),
]

TRAIN = [WRONG_TYPE, NOT_A_NUMBER, TOO_SMALL, TOO_LARGE, NOT_TOGETHER, UNKNOWN, OPTIONS, SEVERAL, RUN_DIR]

DAMAGED = "is damaged"
# Text of a config.json -> what its one line holds.
FILES = {
    "empty": ("", DAMAGED),
    "not JSON": ("{", DAMAGED),
    "a list": ("[]", DAMAGED),
    "a text": ('"config"', DAMAGED),
    "nothing": ("null", DAMAGED),
    "without settings": ("{}", DAMAGED),
    "not text": ("\x00\udcff", DAMAGED),
    "deep lists": ('{"config": ' + "[" * 100_000 + "]" * 100_000 + "}", DAMAGED),
    "deep settings": ('{"config": {"agent": ' + '{"agent": ' * 90_000 + "1" + "}" * 90_002, DAMAGED),
    "a number too long": ('{"config": {"seed": ' + "9" * 5_000 + "}}", DAMAGED),
    "too long": ('{"config": {"env": "' + "x" * 2**20 + '"}}', "larger than 1,048,576 bytes"),
    "settings as a number": ('{"config": 3}', "settings must be given by name, not as 3"),
    "settings as a list": ('{"config": [1]}', "settings must be given by name, not as [1]"),
    "no settings": ('{"config": null}', "settings must be given by name, not as None"),
    "unknown name": ('{"config": {"sead": 1}}', "sead is no setting; did you mean 'seed'?"),
    "unknown name in a section": ('{"config": {"agent": {"taw": 1}}}', "agent.taw is no setting; did you mean 'tau'?"),
    "name of two lines": (r'{"config": {"a\nb": 1}}', r"'a\nb' is no setting; known are env, "),
    "long name": ('{"config": {"' + "x" * 300_000 + '": 1}}', f"'{'x' * 79}... is no setting; known are env, "),
    "list for a number": ('{"config": {"agent": {"tau": [0.1]}}}', "agent.tau = (0.1,) must be float"),
    "text for a number": ('{"config": {"agent": {"tau": "0.1"}}}', "agent.tau = '0.1' must be float"),
    "null for a number": ('{"config": {"seed": null}}', "seed = None must be int"),
    "true for a number": ('{"config": {"seed": true}}', "seed = True must be int"),
    "nan": ('{"config": {"agent": {"tau": NaN}}}', "agent.tau = nan must be in (0, 1]"),
    "settings for a number": ('{"config": {"seed": {"a": {"b": 1}}}}', "seed = {'a': {'b': 1}} must be int"),
    "nested lists": ('{"config": {"seed": ' + "[" * 900 + "]" * 900 + "}}", f"seed = ({'[' * 79}... must be int"),
    "list in a list": ('{"config": {"agent": {"hidden_sizes": [[1]]}}}', "agent.hidden_sizes = ([1],) must be tuple"),
    "list for a choice": (
        '{"config": {"agent": {"activation": ["relu"]}}}',
        "agent.activation = ('relu',) must be one",
    ),
    "number for a section": ('{"config": {"agent": 3}}', "agent = 3 must be DDPGConfig"),
    "null for a section": ('{"config": {"replay": null}}', "replay = None must be ReplayConfig"),
    "list for a section": ('{"config": {"train": [1, 2]}}', "train = (1, 2) must be TrainConfig"),
    "number for a name": ('{"config": {"env": 3}}', "env = 3 must be str"),
    "large number": ('{"config": {"agent": {"actor_lr": 1' + "0" * 400 + "}}}", f"... {AT_MOST_FLOAT32}"),
    "a module": ('{"config": {"env": "os:System-v0"}}', "'os:System-v0'"),
    "an unknown world": ('{"config": {"env": "Nope-v0"}}', "'Nope-v0'"),
    "a world of two lines": (r'{"config": {"env": "a\nb-v0"}}', r"'a\nb-v0'"),
    "an escape sequence": (r'{"config": {"env": "\u001b[31mred-v0"}}', r"'\x1b[31mred-v0'"),
}


@pytest.fixture(scope="module")
def compiled():
    """Events of compilations, from now on."""
    events = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
    return events


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, compiled):
    """Run a command line that must be refused; the lines on stderr, after their beginning."""
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)

    def run(args):
        before = sorted(tmp_path.rglob("*"))
        compiled.clear()
        assert cli.main(args) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert sorted(tmp_path.rglob("*")) == before
        # Importing gymnax compiles by itself.
        assert "gymnax" in " ".join(args) or not [event for event in compiled if "backend_compile" in event]
        lines = error.splitlines()
        assert all(line.startswith(ERROR) for line in lines), error
        assert all(line.isprintable() for line in lines), error
        return [line.removeprefix(ERROR) for line in lines]

    return run


def check(lines, expected):
    assert len(lines) == len(expected), lines
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(beginning), lines


@pytest.mark.parametrize("case", [case for table in TRAIN for case in table], ids=lambda case: case[0][:60])
def test_training_refuses_wrong_options(case, refused):
    options, *expected = case
    check(refused(["train", *shlex.split(options)]), expected)


@pytest.mark.parametrize("case", COMMAND_LINES, ids=lambda case: case[0][:60])
def test_every_command_refuses_wrong_options(case, refused):
    line, *expected = case
    check(refused(shlex.split(line)), expected)


@pytest.mark.parametrize("command", ["evaluate", "resume"])
@pytest.mark.parametrize("case", FILES)
def test_settings_from_a_file_are_not_trusted(case, command, tmp_path, refused):
    text, message = FILES[case]
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    (line,) = refused([command, "run"])
    assert "run/config.json" in line
    assert message in line
    assert len(line) < 300


def test_several_problems_of_a_file_are_several_lines(tmp_path, refused):
    run = tmp_path / "run"
    run.mkdir()
    settings = {"seed": -1, "agent": {"tau": 2, "activation": "thanh"}, "replay": {"n_step": 0}}
    (run / "config.json").write_text(json.dumps({"config": settings}))
    problems = [
        "seed = -1 must be in [0, 2147483647]",
        "agent.tau = 2 must be in (0, 1]",
        f"agent.activation = 'thanh' {ONE_OF_FIVE}; did you mean 'tanh'?",
        "replay.n_step = 0 must be >= 1",
    ]
    check(refused(["evaluate", "run"]), [f"run/config.json: {problem}" for problem in problems])


@pytest.mark.parametrize("values", [{}, {"agent": {}}, {"replay": {"batch_size": 7}, "train": {}}])
def test_what_a_file_does_not_name_keeps_its_default(values, tmp_path, refused):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"config": values}))
    (line,) = refused(["evaluate", "run"])
    assert line.startswith("run holds no checkpoint"), "the settings were fine"
