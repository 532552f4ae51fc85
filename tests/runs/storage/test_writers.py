"""Writers, read back from the files that their tools would read."""

import importlib.machinery
import json
import os
import pathlib
import struct
import subprocess
import sys

import numpy as np
import psutil
import pytest

from ddpg_jax.config import Config, ConfigError, TrainConfig
from ddpg_jax.runs.report.settings import flat_settings
from ddpg_jax.runs.storage.directory import METRICS, create_run
from ddpg_jax.runs.storage.metrics import append_rows
from ddpg_jax.runs.storage.writers import TAGS, check_writers, make_writers, scalars

UPDATE = {
    "kind": "update", "step": 500, "seconds": 2.0, "skipped": 1, "critic_loss": 0.25, "actor_loss": 3.0, "q": -3.0,
    "target": -3.5, "td_error": 0.5, "critic_grad_norm": 1.5, "actor_grad_norm": 0.75, "saturation": 0.125,
}  # fmt: skip
EVALUATION = {
    "kind": "evaluation", "step": 500, "returns": [-100.0, -300.0], "lengths": [200, 100],
    "discounted_returns": [-50.0, -70.0], "q": [-55.0, -75.0],
}  # fmt: skip
PROBE = {"kind": "probe", "step": 500, "action": [[0.5], [-0.5]], "q": [1.0, 2.0], "action_stddev": 0.375}
RESTART = {"kind": "restart", "step": 500, "reason": "it hung"}
EXPECTED = {
    "rollout/ep_rew_mean": [(200, -1.0), (400, -2.0)],
    "rollout/ep_len_mean": [(200, 200.0), (400, 150.0)],
    "eval/mean_reward": [(500, -200.0)],
    "eval/mean_ep_length": [(500, 150.0)],
    "eval/mean_discounted_reward": [(500, -60.0)],
    "eval/mean_q": [(500, -65.0)],
    "train/critic_loss": [(500, 0.25)],
    "train/actor_loss": [(500, 3.0)],
    "train/q": [(500, -3.0)],
    "train/target": [(500, -3.5)],
    "train/td_error": [(500, 0.5)],
    "train/critic_grad_norm": [(500, 1.5)],
    "train/actor_grad_norm": [(500, 0.75)],
    "train/saturation": [(500, 0.125)],
    "train/skipped_updates": [(500, 1.0)],
    "time/time_elapsed": [(500, 2.0)],
    "time/fps": [(500, 250.0)],
    "train/action_stddev": [(500, 0.375)],
    "train/probe_q": [(500, 1.5)],
}


def episode(step, value, length=200):
    return {"kind": "episode", "step": step, "env": 0, "return": value, "length": length}


ROWS = [episode(200, -1.0), episode(400, -3.0, 100), PROBE, UPDATE, EVALUATION, RESTART]


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run", Config(train=TrainConfig(total_steps=600)), "default")


def tensorboard_scalars(run):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = event_accumulator.EventAccumulator(str(run / "tensorboard"), {event_accumulator.SCALARS: 0}).Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def wandb_records(folder):
    """Records of a log in LevelDB's format, none of which is longer than its first block."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("run-*.wandb")
    log, place, records = file.read_bytes(), 7, []
    while place < len(log):
        _, length, whole = struct.unpack_from("<IHB", log, place)
        assert whole == 1
        records.append(Record.FromString(log[place + 7 : place + 7 + length]))
        place += 7 + length
    return records


def wandb_scalars(folder):
    found = {}
    for record in wandb_records(folder):
        row = {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
        for tag in row.keys() - {"_step", "_timestamp", "_runtime", "_wandb"}:
            found.setdefault(tag, []).append((row["_step"], row[tag]))
    return found


def refuse(line):
    pytest.fail(line)


def test_every_figure_of_every_row_has_its_tag_in_tensorboard(run):
    pytest.importorskip("tensorboard")
    writer = make_writers(["tensorboard"], run, Config(), 0, refuse)
    writer.write(ROWS)
    assert tensorboard_scalars(run) == EXPECTED, "also before it is closed"
    writer.close()
    assert tensorboard_scalars(run) == EXPECTED
    assert {*EXPECTED} == {tag for tags in TAGS.values() for tag in tags.values()} | {"time/fps"}


def test_after_a_resume_tensorboard_shows_what_was_written_again_once_and_the_window_of_episodes_goes_on(run):
    pytest.importorskip("tensorboard")
    first = make_writers(["tensorboard"], run, Config(), 0, refuse)
    first.write([episode(200, -1.0), episode(400, -3.0), episode(600, 50.0)])  # and killed: never closed
    append_rows(run / METRICS, [episode(200, -1.0), episode(400, -3.0)])
    second = make_writers(["tensorboard"], run, Config(), 400, refuse)
    second.write([episode(600, -8.0)])
    second.close()
    assert tensorboard_scalars(run)["rollout/ep_rew_mean"] == [(200, -1.0), (400, -2.0), (600, -4.0)]
    assert len(list((run / "tensorboard").iterdir())) == 2


def test_tensorboard_has_the_settings_as_hyperparameters(run):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    make_writers(["tensorboard"], run, Config(seed=7, writers=("tensorboard",)), 0, refuse).close()
    events = event_accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    (content,) = events.PluginTagToContent(metadata.PLUGIN_NAME).values()
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert info.group_name == "run"
    assert info.hparams["seed"].number_value == 7
    assert info.hparams["agent.hidden_sizes"].string_value == "256 x 256"
    assert info.hparams["replay.compact"].bool_value is False
    assert len(info.hparams) == len(flat_settings(Config()))


SERVER = """
import http.server, json, os, threading

class Answer(http.server.BaseHTTPRequestHandler):
    history = b""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        entity = {"id": "e", "name": "e"}
        bucket = {"id": "x", "name": "r", "displayName": "d", "project": {"id": "p", "name": "p", "entity": entity}}
        viewer = entity | {"username": "u", "entity": "e", "flags": "{}", "teams": {"edges": []}}
        answers = {
            b"mutation UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            b"mutation CreateRunFiles": {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": []}},
            b"query Viewer": {"viewer": viewer},
        }
        found = [data for name, data in answers.items() if name in body]
        Answer.history += body if self.path.endswith("file_stream") else b""
        text = json.dumps({"data": found[0]} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["WANDB_BASE_URL"] = f"http://127.0.0.1:{server.server_port}"
"""


def test_wandb_online_sends_the_figures_to_its_server(run, tmp_path, monkeypatch):
    """A server of our own stands where W&B's is; in a process of its own, since W&B keeps where it has logged in."""
    pytest.importorskip("wandb")
    script = f"""{SERVER}
import pathlib
from ddpg_jax.config import Config
from ddpg_jax.runs.storage.writers import check_writers, make_writers
config = Config(writers=("wandb",), wandb_mode="online")
check_writers(config.writers, config.wandb_mode)
writer = make_writers(config.writers, pathlib.Path({str(run)!r}), config, 0, print)
writer.write({ROWS!r})
writer.close()
print(Answer.history.count(b'eval/mean_reward'))
"""
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0, done.stderr


def test_wandb_online_without_a_key_is_refused_before_anything_is_made(tmp_path):
    pytest.importorskip("wandb")
    script = """
from ddpg_jax.runs.console import cli
raise SystemExit(cli.main(["train", "--writers", "wandb", "--wandb-mode", "online", "--run-dir", "run"]))
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "WANDB_CONFIG_DIR": str(tmp_path / "config")}
    env["PYTHONPATH"] = str(pathlib.Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert done.stderr.endswith("wandb_mode = 'online' needs a key of W&B: run wandb login, or set WANDB_API_KEY\n")
    assert not (tmp_path / "run").exists()


def test_wandb_keeps_an_offline_run_with_the_same_figures_and_settings_and_asks_nobody(run, monkeypatch):
    """In a process of its own: telemetry is sent when the interpreter ends, if it is sent at all."""
    pytest.importorskip("wandb")
    script = f"""
import pathlib, socket
socket.getaddrinfo = lambda *address, **_: print("asked", address) or []
from ddpg_jax.config import Config
from ddpg_jax.runs.storage.writers import make_writers
writer = make_writers(["wandb"], pathlib.Path({str(run)!r}), Config(), 0, print)
writer.write({ROWS!r})
writer.close()
"""
    monkeypatch.setenv("WANDB_MODE", "online")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    (folder,) = (run / "wandb").iterdir()
    assert wandb_scalars(folder) == EXPECTED
    (begun,) = [record.run for record in wandb_records(folder) if record.HasField("run")]
    assert (begun.display_name, begun.run_group) == ("run from step 0", "run")
    settings = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert settings["replay"]["batch_size"] == Config().replay.batch_size


def test_a_writer_whose_process_dies_is_said_once_and_the_others_go_on(run, capfd):
    pytest.importorskip("tensorboard")
    pytest.importorskip("wandb")
    said = []
    writer = make_writers(["wandb", "tensorboard"], run, Config(), 0, said.append)
    (service,) = [child for child in psutil.Process().children() if child.name() == "wandb-core"]
    service.kill()
    service.wait()
    for _ in range(3):
        writer.write(ROWS)
    writer.close()
    (line,) = said
    assert line.startswith("the writer wandb failed and is switched off: ")
    assert len(tensorboard_scalars(run)["train/q"]) == 3
    assert capfd.readouterr() == ("", "")


def test_a_disk_that_is_full_costs_the_writer_and_not_the_run(run):
    pytest.importorskip("tensorboard")
    resource = pytest.importorskip("resource")
    said = []
    writer = make_writers(["tensorboard"], run, Config(), 0, said.append)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))
    try:
        writer.write(ROWS)
        writer.write(ROWS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.close()
    (line,) = said
    assert "tensorboard failed and is switched off" in line
    assert "File too large" in line


def test_a_package_that_is_missing_is_named_with_what_installs_it(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()  # what W&B leaves behind in the working directory is no package
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [importlib.machinery.PathFinder])
    for name in ("wandb", "tensorboard"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ConfigError) as caught:
        check_writers(["tensorboard", "wandb"])
    assert str(caught.value).splitlines() == [
        f"writers: {name} is not installed; pip install 'ddpg_jax[{name}]'" for name in ("tensorboard", "wandb")
    ]
    check_writers([])


def test_without_a_writer_nothing_is_read_or_written(tmp_path):
    writer = make_writers([], tmp_path / "nowhere", Config(), 0, refuse)
    writer.write(ROWS)
    writer.close()
    assert not list(tmp_path.iterdir())


def test_a_figure_that_was_not_finite_is_no_number_and_no_failure(run):
    """As read from a file of before a resume, where null stands for it."""
    rows = [{"kind": "episode", "step": 1, "return": None, "length": 3}, {"kind": "evaluation", "returns": [None, 1.0]}]
    assert np.isnan(scalars(rows[0], rows[:1])["rollout/ep_rew_mean"])
    assert scalars(rows[0], rows[:1])["rollout/ep_len_mean"] == 3
    assert np.isnan(scalars(rows[1], [])["eval/mean_reward"])
