"""Flags of other libraries, and what does the same here, as the second half of a sentence that names theirs.

They are those of Stable-Baselines3 and its zoo, CleanRL, Spinning Up, Rejax, Brax and the authors of TD3. A name that
is the last part of a flag of ours needs no line: the flag is found by it.
"""

BOTH_RATES = "here it is --agent.actor-lr and --agent.critic-lr"
CAPACITY = "here it is --replay.capacity"
DISCOUNT = "here it is --replay.discount"
START = "here it is --train.start-steps and --train.update-after"
LENGTH = "here it is --train.total-steps"
PRODUCT = "here their product is --train.total-steps"
UPDATES = "here it is --train.updates-per-step"
SIZES = "here it is --agent.hidden-sizes, one number for each layer"
NOISE = "here it is --exploration.stddev, in units of half the action range"
TARGET_TAU = "here it is --agent.tau, which is 1 - polyak"
DELAY = "here it is --agent.policy-delay"
TARGET_NOISE = "here it is --agent.target-noise"
TARGET_CLIP = "here it is --agent.target-noise-clip"
ALGORITHM = "here it is --preset td3 for TD3, --preset d4pg for D4PG, and nothing for DDPG"
ENVIRONMENT = "here it is --env"
FOLDER = "here it is --run-dir"
EVALUATION = "here it is --train.eval-every"
RESUME = "here a run goes on with ddpg-jax resume RUN"
DEVICE = "JAX takes the accelerator it finds, or the one that JAX_PLATFORMS names"
FILM = "here a policy is filmed by ddpg-jax watch RUN"
SAVED = "here checkpoints are always written"
WANDB = "here it is --writers wandb"

PEER_NAMES = {
    # networks and their optimisers
    "lr": BOTH_RATES,
    "learning-rate": BOTH_RATES,
    "pi-lr": "here it is --agent.actor-lr",
    "q-lr": "here it is --agent.critic-lr",
    "hid": SIZES,
    "l": SIZES,
    "net-arch": SIZES,
    "policy-kwargs": SIZES,
    "layers": SIZES,
    "polyak": TARGET_TAU,
    "policy-frequency": DELAY,
    "policy-freq": DELAY,
    "policy-noise": TARGET_NOISE,
    "target-policy-noise": TARGET_NOISE,
    "noise-clip": TARGET_CLIP,
    "normalize-observations": "here it is --agent.normalize-obs",
    "normalize-rewards": "here it is --agent.normalize-reward",
    # replay
    "buffer-size": CAPACITY,
    "replay-size": CAPACITY,
    "max-replay-size": CAPACITY,
    "gamma": DISCOUNT,
    "discounting": DISCOUNT,
    "n-steps": "here it is --replay.n-step",
    "n-sampled-goal": "here it is --replay.hindsight-ratio; four goals to one are 0.8",
    "optimize-memory-usage": "here it is --replay.compact",
    # exploration
    "noise-std": NOISE,
    "act-noise": NOISE,
    "expl-noise": NOISE,
    "exploration-noise": NOISE,
    "action-noise": "here it is --exploration.kind and --exploration.stddev",
    "noise-type": "here it is --exploration.kind",
    # how long, and how many
    "n": LENGTH,
    "total-timesteps": LENGTH,
    "n-timesteps": LENGTH,
    "num-timesteps": LENGTH,
    "max-timesteps": LENGTH,
    "epochs": PRODUCT,
    "steps-per-epoch": PRODUCT,
    "max-ep-len": "here it is --max-episode-steps",
    "n-envs": "here it is --train.num-envs",
    "learning-starts": START,
    "start-timesteps": START,
    "fill-buffer": START,
    "min-replay-size": START,
    "train-freq": UPDATES,
    "gradient-steps": UPDATES,
    "num-epochs": UPDATES,
    "grad-updates-per-step": UPDATES,
    "update-every": "here updates are made one at a time, --train.updates-per-step of them after each step",
    "eval-freq": EVALUATION,
    "n-eval-episodes": "here it is --train.eval-episodes",
    "num-test-episodes": "here it is --train.eval-episodes",
    "n-eval-envs": "here it is --train.eval-envs",
    "log-interval": "here it is --train.log-every",
    # what is trained, and what is kept
    "algo": ALGORITHM,
    "policy": ALGORITHM,
    "env-id": ENVIRONMENT,
    "env-name": ENVIRONMENT,
    "gym-id": ENVIRONMENT,
    "gym-packages": "here it is --import, once for each module",
    "params": "here each setting is a flag of its own",
    "optimize": "here each trial can be a run",
    "optimize-hyperparameters": "here each trial can be a run",
    "hyperparams": "here each setting is a flag of its own",
    "exp-name": FOLDER,
    "f": FOLDER,
    "log-folder": FOLDER,
    "data-dir": FOLDER,
    "save-freq": "here it is --checkpoint.every",
    "save-model": SAVED,
    "save-replay-buffer": SAVED + ", with the memory",
    "i": RESUME,
    "trained-agent": RESUME,
    "load-model": RESUME,
    "track": WANDB,
    "tensorboard-log": "here it is --writers tensorboard",
    "capture-video": FILM,
    "render": FILM,
    "device": DEVICE,
    "cuda": DEVICE,
}
