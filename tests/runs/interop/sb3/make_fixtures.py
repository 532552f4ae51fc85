"""Write the models that test_stable_baselines3.py reads, and what Stable-Baselines3 makes of them.

    pip install torch==2.13.0 stable-baselines3==2.9.2
    python tests/runs/sb3/make_fixtures.py

Each `<name>.zip` is what `model.save` wrote, repacked without `system_info.txt`, which describes the machine:
`ddpg.zip` stored, as Stable-Baselines3 does, `td3.zip` compressed, as it becomes in other hands. `<name>.npz` has 32
observations `obs` and actions `action` in [-1, 1] beside the actor's outputs `act` in [-1, 1] and `act_env` in the
environment's unit, the critics' `q` `[K, 32]`, and the same of the target networks, `target_act` and `target_q`.
"""

import pathlib
import sys
import tempfile
import zipfile

import numpy as np

FOLDER = pathlib.Path(__file__).parent
OBS_DIM, LOW, HIGH = 3, [-2.0, 0.0], [2.0, 5.0]
NUM_ROWS = 32
MODELS = {
    "ddpg": ([7, 5], None, zipfile.ZIP_STORED),
    "td3": ({"pi": [6], "qf": [5, 4]}, "tanh", zipfile.ZIP_DEFLATED),
}


def make_env(obs_dim=OBS_DIM, low=LOW, high=HIGH):
    """An environment of noise, with bounds of the action that are not symmetric."""
    import gymnasium

    class Noise(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-9, 9, (obs_dim,), np.float32)
        action_space = gymnasium.spaces.Box(np.float32(low), np.float32(high))

        def draw(self):
            return self.np_random.uniform(-3, 3, obs_dim).astype(np.float32)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.draw(), {}

        def step(self, action):
            return self.draw(), float(action.sum()), False, self.np_random.random() < 0.1, {}

    return Noise()


def train(name, net_arch, activation=None, env=None, num_critics=None, **settings):
    """A small model of an algorithm, trained for a few steps, so that its targets differ from what they follow."""
    import stable_baselines3
    import torch

    policy_kwargs = {"net_arch": net_arch}
    if activation:
        policy_kwargs["activation_fn"] = {"tanh": torch.nn.Tanh, "elu": torch.nn.ELU, "silu": torch.nn.SiLU}[activation]
    if num_critics:
        policy_kwargs["n_critics"] = num_critics
    settings = {
        "learning_rate": 0.003,
        "learning_starts": 10,
        "buffer_size": 200,
        "batch_size": 16,
        "seed": 0,
        **settings,
    }
    algorithm = getattr(stable_baselines3, name.upper())
    return algorithm("MlpPolicy", env or make_env(), policy_kwargs=policy_kwargs, **settings).learn(60)


def outputs(model, rows=NUM_ROWS, seed=0):
    """Observations, actions, and what the model's networks make of them."""
    import torch

    rng = np.random.default_rng(seed)
    obs = rng.uniform(-3, 3, (rows, *model.observation_space.shape)).astype(np.float32)
    action = rng.uniform(-1, 1, (rows, *model.action_space.shape)).astype(np.float32)
    policy, made = model.policy, {"obs": obs, "action": action, "act_env": model.predict(obs, deterministic=True)[0]}
    with torch.no_grad():
        inputs = torch.as_tensor(obs), torch.as_tensor(action)
        for prefix, actor, critic in (
            ("", policy.actor, policy.critic),
            ("target_", policy.actor_target, policy.critic_target),
        ):
            made[prefix + "act"] = actor(inputs[0]).numpy()
            made[prefix + "q"] = torch.cat(critic(*inputs), dim=1).numpy().T
    return made


def main():
    """Write all of them."""
    for name, (net_arch, activation, compression) in MODELS.items():
        model = train(name, net_arch, activation)
        with tempfile.TemporaryDirectory() as folder:
            saved = pathlib.Path(folder, "model.zip")
            model.save(saved)
            with zipfile.ZipFile(saved) as old, zipfile.ZipFile(FOLDER / f"{name}.zip", "w", compression) as new:
                for member in old.namelist():
                    if member != "system_info.txt":
                        new.writestr(member, old.read(member))
        np.savez_compressed(FOLDER / f"{name}.npz", **outputs(model))


if __name__ == "__main__":
    sys.exit(main())
