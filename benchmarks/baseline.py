"""The same algorithm in PyTorch, eager and compiled, as a good user writes it: what `ddpg_jax` is compared with.

`tests/parity` holds both to the same numbers, `benchmarks.update` compares how fast they get there.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
import jax
import numpy as np
import torch
from torch import Tensor, nn

from ddpg_jax.agent.mlp import FINAL_SCALE
from ddpg_jax.agent.state import Params
from ddpg_jax.config import DDPGConfig

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, in PyTorch as in optax
LAYER_NORM_EPS = 1e-6  # flax's default; PyTorch's is 1e-5
ACTIVATIONS: dict[str, Any] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": functools.partial(nn.GELU, approximate="tanh"),
    "silu": nn.SiLU,
}


class TorchBatch(NamedTuple):
    """What one update learns from: `ddpg_jax.Batch` as tensors.

    Attributes:
        obs: `[B, O]`.
        action: in [-1, 1], `[B, A]`.
        reward: `[B]`.
        discount: gamma, or 0 where the task terminated, `[B]`.
        next_obs: `[B, O]`.
        weight: importance weight of each row, `[B]`, or None for ones.
    """

    obs: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_obs: Tensor
    weight: Tensor | None = None


def mlp(inputs: int, outputs: int, config: DDPGConfig) -> nn.Sequential:
    """Hidden layers f(norm(W x + b)), then one affine layer that starts at U(-3e-3, 3e-3)."""
    layers: list[nn.Module] = []
    for size in config.hidden_sizes:
        layers.append(nn.Linear(inputs, size))
        if config.normalization == "layer":
            layers.append(nn.LayerNorm(size, eps=LAYER_NORM_EPS))
        layers.append(ACTIVATIONS[config.activation]())
        inputs = size
    final = nn.Linear(inputs, outputs)
    for parameter in final.parameters():
        nn.init.uniform_(parameter, -FINAL_SCALE, FINAL_SCALE)
    return nn.Sequential(*layers, final)


def equal_terms(num_threads: int) -> None:
    """As many threads as the others, and on a GPU products in TF32, which is JAX's default there."""
    torch.set_num_threads(num_threads)
    if find_device() == "cuda":
        torch.set_float32_matmul_precision("high")


def find_device() -> str:
    """The device that PyTorch computes on: the GPU where JAX uses one as well."""
    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    """Wait until the GPU, if it is in use, has done what it was given."""
    if find_device() == "cuda":
        torch.cuda.synchronize()


class Actor(nn.Module):
    """a = tanh(f(s)), `[B, O] -> [B, A]`."""

    def __init__(self, obs_dim: int, action_dim: int, config: DDPGConfig):
        super().__init__()
        self.mlp = mlp(obs_dim, action_dim, config)

    def forward(self, obs: Tensor) -> Tensor:
        """Greedy actions in [-1, 1], `[B, A]`."""
        return torch.tanh(self.mlp(obs))


class Critic(nn.Module):
    """Q = g([s, a]), `[B, O], [B, A] -> [B]`."""

    def __init__(self, obs_dim: int, action_dim: int, config: DDPGConfig):
        super().__init__()
        self.mlp = mlp(obs_dim + action_dim, 1, config)

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """Values, `[B]`."""
        return self.mlp(torch.cat([obs, action], dim=1)).squeeze(1)


class Learner:
    """Adam of one network, with its clipping and its learning rate schedule."""

    def __init__(
        self, module: nn.Module, learning_rate: float, config: DDPGConfig, weight_decay: float = 0.0, period: int = 1
    ):
        self.parameters = list(module.parameters())
        self.max_norm = config.max_grad_norm
        # One kernel for all parameters: on CPU faster than the default and than foreach.
        self.adam = torch.optim.Adam(self.parameters, learning_rate, weight_decay=weight_decay, fused=True)
        self.schedule = None
        if config.lr_decay_updates:
            self.schedule = torch.optim.lr_scheduler.LinearLR(
                self.adam, 1.0, config.lr_final_fraction, -(-config.lr_decay_updates // period)
            )

    def descend(self, loss: Tensor) -> None:
        """One step down the loss, for these parameters and no others."""
        self.adam.zero_grad(set_to_none=True)
        loss.backward(inputs=self.parameters)
        if self.max_norm is not None:
            clip_by_global_norm(self.parameters, self.max_norm)
        self.adam.step()
        if self.schedule:
            self.schedule.step()


# What is written here in PyTorch: DDPG and TD3. Every other setting must be as it is by default.
KNOWN = {
    "hidden_sizes", "activation", "normalization", "actor_lr", "critic_lr", "lr_decay_updates", "lr_final_fraction",
    "critic_weight_decay", "max_grad_norm", "tau", "num_critics", "policy_delay", "target_noise", "target_noise_clip",
}  # fmt: skip


def check_known(config: DDPGConfig) -> None:
    """Raise ValueError, naming them, if settings are not the default's that this baseline does not know."""
    other = [field.name for field in dataclasses.fields(config) if field.name not in KNOWN]
    wrong = [name for name in other if getattr(config, name) != getattr(DDPGConfig(), name)]
    if wrong or config.normalization == "batch":
        raise ValueError(
            f"{', '.join(wrong) or 'BatchNorm'}: not in the PyTorch baseline; leave it as it is by default"
        )


class TorchDDPG:
    """DDPG, and TD3 by `num_critics=2, policy_delay=2, target_noise=0.2`, as `ddpg_jax.ddpg`.

    Args:
        obs_dim: O.
        action_dim: A.
        config: the settings.
        dtype: of parameters and batches.
        device: of parameters and batches.

    Raises:
        ValueError: where the settings ask for what is not written here.
    """

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        config: DDPGConfig,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ):
        check_known(config)
        self.config, self.dtype, self.device, self.step = config, dtype, device, 0
        self.actor, self.target_actor = (Actor(obs_dim, action_dim, config).to(device, dtype) for _ in range(2))
        self.critics, self.target_critics = (
            nn.ModuleList([Critic(obs_dim, action_dim, config) for _ in range(config.num_critics)]).to(device, dtype)
            for _ in range(2)
        )
        self.target_actor.load_state_dict(self.actor.state_dict())
        self.target_critics.load_state_dict(self.critics.state_dict())
        self.actor_learner = Learner(self.actor, config.actor_lr, config, period=config.policy_delay)
        self.critic_learner = Learner(self.critics, config.critic_lr, config, config.critic_weight_decay)
        self.learned: list[Tensor] = [*self.actor.parameters(), *self.critics.parameters()]
        self.targets: list[Tensor] = [*self.target_actor.parameters(), *self.target_critics.parameters()]

    @torch.inference_mode()
    def act(self, obs: np.ndarray) -> np.ndarray:
        """Greedy action in [-1, 1] for one observation, `[O] -> [A]`."""
        return (
            self.actor(torch.as_tensor(obs, dtype=self.dtype, device=self.device).unsqueeze(0)).squeeze(0).cpu().numpy()
        )

    def update(self, batch: TorchBatch, target_noise: Tensor | None = None) -> None:
        """One update: the critics, and every `policy_delay`-th time the actor and all targets.

        Args:
            batch: what to learn from.
            target_noise: N(0, 1) for target policy smoothing, `[B, A]`; drawn here if None.
        """
        target = self.target(batch, target_noise)
        losses = [squared_error(critic(batch.obs, batch.action), target, batch.weight) for critic in self.critics]
        self.critic_learner.descend(sum(losses[1:], losses[0]))
        self.step += 1
        if self.step % self.config.policy_delay == 0:
            self.actor_learner.descend(-self.critics[0](batch.obs, self.actor(batch.obs)).mean())
            with torch.no_grad():
                torch._foreach_lerp_(self.targets, self.learned, self.config.tau)

    @torch.no_grad()
    def target(self, batch: TorchBatch, target_noise: Tensor | None) -> Tensor:
        """The TD target y = r + d min_k Q'_k(s', a'), `[B]`."""
        action = self.target_actor(batch.next_obs)
        if self.config.target_noise:
            noise = torch.randn_like(action) if target_noise is None else target_noise
            bound = self.config.target_noise_clip
            action = (action + (self.config.target_noise * noise).clamp(-bound, bound)).clamp(-1, 1)
        next_q = [critic(batch.next_obs, action) for critic in self.target_critics]
        return batch.reward + batch.discount * functools.reduce(torch.minimum, next_q)


class WrittenOutLearner:
    """The same as `Learner` in plain tensor operations: `backward` and `torch.optim` break a compiled graph."""

    def __init__(self, module: nn.Module, learning_rate: float, max_norm: float | None):
        self.parameters: dict[str, Tensor] = dict(module.named_parameters())
        self.learning_rate, self.max_norm = learning_rate, max_norm
        self.mu, self.nu = ([torch.zeros_like(leaf) for leaf in self.parameters.values()] for _ in range(2))
        self.step = torch.zeros_like(self.mu[0].sum())
        keep_in_place(*self.mu, *self.nu, self.step)

    def descend(self, loss: Callable[[dict[str, Tensor]], Tensor]) -> None:
        """Clip the gradient's global norm, then Adam (Kingma and Ba, 2015, algorithm 1)."""
        grads = list(torch.func.grad(loss)(self.parameters).values())
        if self.max_norm is not None:
            norm = torch.nn.utils.get_total_norm(grads)
            torch._foreach_mul_(grads, (self.max_norm / norm).clamp(max=1.0))
        with torch.no_grad():
            self.step += 1
            for parameter, mu, nu, grad in zip(self.parameters.values(), self.mu, self.nu, grads, strict=True):
                mu.lerp_(grad, 1 - BETA1)
                nu.mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
                scale = (nu / (1 - BETA2**self.step)).sqrt() + EPSILON
                parameter.sub_(self.learning_rate / (1 - BETA1**self.step) * mu / scale)


def keep_in_place(*tensors: Tensor) -> None:
    """Promise that these change in place, without which `torch.compile` refuses CUDA graphs."""
    for tensor in tensors:
        torch._dynamo.mark_static_address(tensor)


def compile_update(agent: TorchDDPG, mode: str | None = None) -> Callable[[TorchBatch], None]:
    """`agent.update` as one compiled graph, with optimisers of its own; DDPG only.

    `torch.compile(agent.update)` itself breaks into five graphs and is slower than eager (benchmarks/NOTES.md).

    Args:
        agent: changed in place by every update.
        mode: of `torch.compile`; "reduce-overhead" is CUDA graphs.

    Raises:
        ValueError: where the settings ask for more than DDPG at constant learning rates.
    """
    config, actor, critic = agent.config, agent.actor, agent.critics[0]
    if (config.num_critics, config.policy_delay, config.lr_decay_updates, config.critic_weight_decay) != (1, 1, 0, 0):
        raise ValueError(f"settings are {config}, must be plain DDPG; use TorchDDPG.update for others")
    keep_in_place(*agent.learned, *agent.targets)
    actor_learner = WrittenOutLearner(actor, config.actor_lr, config.max_grad_norm)
    critic_learner = WrittenOutLearner(critic, config.critic_lr, config.max_grad_norm)

    def update(batch: TorchBatch) -> None:
        target = agent.target(batch, None)

        def critic_loss(params: dict[str, Tensor]) -> Tensor:
            q = torch.func.functional_call(critic, params, (batch.obs, batch.action))
            return squared_error(q, target, batch.weight)

        def actor_loss(params: dict[str, Tensor]) -> Tensor:
            return -critic(batch.obs, torch.func.functional_call(actor, params, (batch.obs,))).mean()

        critic_learner.descend(critic_loss)
        actor_learner.descend(actor_loss)
        with torch.no_grad():
            torch._foreach_lerp_(agent.targets, agent.learned, config.tau)

    torch._dynamo.reset()  # forget what was compiled for other shapes, of which only so many are allowed
    return torch.compile(update, mode=mode, dynamic=False, fullgraph=True)


def squared_error(q: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """1/B sum_i w_i (Q_i - y_i)^2, scalar."""
    if weight is None:
        return nn.functional.mse_loss(q, target)
    return (weight * (q - target).square()).mean()


def clip_by_global_norm(parameters: list[nn.Parameter], max_norm: float) -> None:
    """Scale the gradients by max_norm / norm where the norm is greater, as optax does.

    `torch.nn.utils.clip_grad_norm_` divides by norm + 1e-6 instead.
    """
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    torch._foreach_mul_(grads, (max_norm / norm).clamp(max=1.0))


def flax_leaves(module: nn.Sequential) -> Iterator[tuple[str, str, Tensor]]:
    """Each parameter with its layer's and its own name in flax, as a view of flax's shape."""
    for name, kind, weight in (("Dense", nn.Linear, "kernel"), ("LayerNorm", nn.LayerNorm, "scale")):
        for index, layer in enumerate(layer for layer in module if isinstance(layer, kind)):
            yield f"{name}_{index}", weight, layer.weight.detach().t()
            yield f"{name}_{index}", "bias", layer.bias.detach()


def to_tree(module: nn.Sequential) -> Any:
    """Parameters as the tree of NumPy arrays that the flax MLP has."""
    tree: dict[str, dict[str, np.ndarray]] = {}
    for layer, leaf, view in flax_leaves(module):
        tree.setdefault(layer, {})[leaf] = view.cpu().numpy().copy()
    return {"params": tree}


def from_tree(module: nn.Sequential, tree: Any) -> None:
    """Overwrite parameters with those of a flax MLP.

    Raises:
        ValueError: if the two are not of one structure.
    """
    leaves = list(flax_leaves(module))
    ours, theirs = {leaf[:2] for leaf in leaves}, {(a, b) for a, layer in tree["params"].items() for b in layer}
    if ours != theirs:
        raise ValueError(f"tree has the leaves {sorted(theirs)}, must have {sorted(ours)}; use the same settings")
    for layer, leaf, view in leaves:
        view.copy_(torch.from_numpy(np.array(tree["params"][layer][leaf])))


def load_params(agent: TorchDDPG, params: Params, target_params: Params) -> None:
    """Overwrite all parameters of a PyTorch agent with those of an `AgentState`.

    Args:
        agent: changed in place; its optimisers' states are not.
        params: `AgentState.params`.
        target_params: `AgentState.target_params`.
    """
    pairs: tuple = ((agent.actor, agent.critics, params), (agent.target_actor, agent.target_critics, target_params))
    for actor, critics, trees in pairs:
        from_tree(actor.mlp, trees.actor)
        for index, critic in enumerate(critics):
            from_tree(critic.mlp, jax.tree.map(lambda leaf, k=index: leaf[k], trees.critic))


def read_params(agent: TorchDDPG) -> tuple[Params, Params]:
    """All parameters and target parameters, structured as in `AgentState`, as NumPy arrays."""
    pairs: tuple = ((agent.actor, agent.critics), (agent.target_actor, agent.target_critics))
    params, target_params = (
        Params(to_tree(actor.mlp), jax.tree.map(lambda *leaves: np.stack(leaves), *(to_tree(c.mlp) for c in critics)))
        for actor, critics in pairs
    )
    return params, target_params


class NumpyReplay:
    """A ring of transitions, sampled uniformly with replacement.

    Args:
        capacity: transitions kept.
        obs_dim: O.
        action_dim: A.
        discount: gamma.
        seed: of the sampling.
    """

    def __init__(self, capacity: int, obs_dim: int, action_dim: int, discount: float = 0.99, seed: int = 0):
        self.capacity, self.gamma, self.rng = capacity, discount, np.random.default_rng(seed)
        self.obs, self.next_obs = (np.zeros((capacity, obs_dim), np.float32) for _ in range(2))
        self.action = np.zeros((capacity, action_dim), np.float32)
        self.reward, self.discount = (np.zeros(capacity, np.float32) for _ in range(2))
        self.head = self.size = 0

    def add(self, obs: np.ndarray, action: np.ndarray, reward: float, terminated: bool, next_obs: np.ndarray) -> None:
        """Store one transition over the oldest."""
        head = self.head
        self.obs[head], self.action[head], self.next_obs[head] = obs, action, next_obs
        self.reward[head], self.discount[head] = reward, 0.0 if terminated else self.gamma
        self.head, self.size = (head + 1) % self.capacity, min(self.size + 1, self.capacity)

    def sample(self, batch_size: int) -> TorchBatch:
        """Draw a batch."""
        rows = self.rng.integers(self.size, size=batch_size)
        columns = (self.obs, self.action, self.reward, self.discount, self.next_obs)
        return TorchBatch(*(torch.from_numpy(column[rows]) for column in columns))


def train_steps(
    env: gymnasium.Env,
    agent: TorchDDPG,
    buffer: NumpyReplay,
    num_steps: int,
    obs: np.ndarray,
    batch_size: int,
    stddev: float = 0.1,
) -> np.ndarray:
    """The eager loop: act with Gaussian noise, step, store, sample, one update a step.

    Args:
        env: a Gymnasium environment that has been reset.
        agent: changed in place.
        buffer: changed in place.
        num_steps: environment steps.
        obs: what the first action is chosen on, `[O]`.
        batch_size: rows of each update.
        stddev: of the noise, in units of half the action range.

    Returns:
        What the next action is chosen on, `[O]`.
    """
    space: Any = env.action_space
    scale, bias = (space.high - space.low) / 2, (space.high + space.low) / 2
    noise = stddev * buffer.rng.standard_normal((num_steps, *space.shape), dtype=np.float32)
    for step in range(num_steps):
        action = (agent.act(obs) + noise[step]).clip(-1, 1)
        next_obs, reward, terminated, truncated, _ = env.step(bias + scale * action)
        buffer.add(obs, action, float(reward), terminated, next_obs)
        obs = env.reset()[0] if terminated or truncated else next_obs
        agent.update(buffer.sample(batch_size))
    return obs
