"""Whether a memory fits, with numbers of machines that are not here."""

import types

import jax
import psutil
import pytest

from ddpg_jax import Config, ConfigError, DDPGConfig, ReplayConfig
from ddpg_jax.runs.machine import memory

GB = 10**9
TERABYTES = 2**63 - 4096  # how v1 says that there is no limit


def test_the_size_that_would_fit_is_named():
    assert memory.memory_problem(164 * GB, 10**9, int(21.3 * GB)) == (
        "replay.capacity = 1000000000 needs 164.0 GB of memory and this machine has 21.3 GB free; "
        "replay.capacity = 110000000 would fit"
    )
    assert "and this device has 21.3 GB free" in memory.memory_problem(164 * GB, 10**9, int(21.3 * GB), host=False)


@pytest.mark.parametrize("free", [5 * GB, 123_456_789, 2 * 10**6])
def test_the_size_that_is_named_does_fit_and_more_does_not(free):
    row = 164
    problem = memory.memory_problem(row * 10**9, 10**9, free)
    fitting = int(problem.split("; replay.capacity = ")[1].split()[0])
    assert memory.memory_problem(row * fitting, fitting, free) is None
    assert memory.memory_problem(int(1.2 * row * fitting), int(1.2 * fitting), free)


def test_a_tenth_is_left_to_everything_else():
    assert memory.memory_problem(90, 9, 100) is None
    assert memory.memory_problem(91, 9, 100)


@pytest.mark.parametrize("free", [0, -5, 100])
def test_where_nothing_fits_no_size_is_named(free):
    assert memory.memory_problem(10**6, 10, free).endswith("not one transition would fit; free some of it")


def test_nothing_is_refused_where_nothing_is_known():
    assert memory.memory_problem(10**18, 10**9, None) is None


@pytest.mark.parametrize(("number", "rounded"), [(7, 7), (42, 42), (119, 110), (115_999_999, 110_000_000), (0, 0)])
def test_sizes_are_rounded_down_to_two_digits(number, rounded):
    assert memory.round_down(number) == rounded


def write_group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("memory_", "memory.", 1)).write_text(f"{text}\n")


def test_the_groups_of_v2_leave_what_their_limit_and_their_use_say(tmp_path):
    membership, root = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("0::/user/run\n")
    stat = "anon 5\ninactive_file 30\nactive_file 7"
    write_group(root / "user/run", memory_max=1000, memory_current=400, memory_stat=stat)
    assert memory.cgroup_free_bytes(membership, root) == [1000 - 400 + 30]
    write_group(root / "user", memory_max=700, memory_current=500, memory_stat="inactive_file 0")
    assert sorted(memory.cgroup_free_bytes(membership, root)) == [200, 630]
    write_group(root / "user", memory_max="max", memory_current=500, memory_stat="inactive_file 0")
    assert memory.cgroup_free_bytes(membership, root) == [630]


def test_a_container_sees_its_group_at_the_root(tmp_path):
    membership, root = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("0::/a/path/of/the/host\n")
    write_group(root, memory_max=1000, memory_current=400, memory_stat="inactive_file 0")
    assert memory.cgroup_free_bytes(membership, root) == [600]


def test_the_groups_of_v1_are_read_below_their_controller(tmp_path):
    membership, root = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("5:cpu,cpuacct:/run\n4:memory:/run\n0::/\n")
    stat = "inactive_file 1\ntotal_inactive_file 30"
    v1 = {"memory_usage_in_bytes": 400, "memory_stat": stat}
    write_group(root / "memory/run", memory_limit_in_bytes=1000, **v1)
    write_group(root / "memory", memory_limit_in_bytes=TERABYTES, **v1)
    assert min(memory.cgroup_free_bytes(membership, root)) == 630


def test_a_machine_without_groups_has_no_limit_of_theirs(tmp_path):
    assert memory.cgroup_free_bytes(tmp_path / "missing", tmp_path) == []


@pytest.mark.parametrize(("rooms", "least"), [([], 900), ([500, 700], 500), ([TERABYTES], 900)])
def test_on_a_cpu_the_least_counts(monkeypatch, rooms, least):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=900))
    monkeypatch.setattr(memory, "cgroup_free_bytes", lambda: rooms)
    assert memory.free_bytes() == least


@pytest.mark.parametrize(
    ("stats", "free"), [(None, None), ({"bytes_in_use": 5}, None), ({"bytes_limit": 80, "bytes_in_use": 5}, 75)]
)
def test_an_accelerator_is_asked_itself(monkeypatch, stats, free):
    device = types.SimpleNamespace(memory_stats=lambda: stats)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert memory.free_bytes() == free


def config(capacity=10**4, **agent):
    return Config(replay=ReplayConfig(capacity=capacity), agent=DDPGConfig(**agent))


def test_a_memory_beyond_this_machine_is_refused_and_a_small_one_is_not():
    memory.check_memory(10**6, config())
    with pytest.raises(ConfigError, match=r"replay.capacity = 1000000000 needs 1000000000.0 GB of memory and this"):
        memory.check_memory(10**18, config(10**9))


def test_networks_beyond_this_machine_are_refused():
    for sizes in ((2_000_000_000,), (2_000_000_000, 2_000_000_000)):
        with pytest.raises(ConfigError, match=r"agent.hidden_sizes = \(2000000000,.*\) needs .* GB .* lower it$"):
            memory.check_memory(10**6, config(hidden_sizes=sizes))
    with pytest.raises(ConfigError, match=r"with agent.critic_hidden_sizes = \(1000000, 1000000\) needs .* GB"):
        memory.check_memory(10**6, config(critic_hidden_sizes=(10**6, 10**6)))


def test_what_networks_need_is_counted():
    # Actor 1 x 2 + 2 x 3 + 3 x 1, two critics 1 x 5 + 5 x 1; weights, targets and two moments of 4 bytes each.
    sizes = DDPGConfig(hidden_sizes=(2, 3), critic_hidden_sizes=(5,), num_critics=2)
    assert memory.networks_bytes(sizes) == 16 * (11 + 2 * 10)


def test_batches_of_windows_beyond_this_machine_are_refused():
    many = ReplayConfig(capacity=10**6, batch_size=10**5, n_step=10**6)
    with pytest.raises(ConfigError, match=r"batch_size = 100000 windows of replay.n_step = 1000000 needs"):
        memory.check_memory(4 * 10**7, Config(replay=many))
