"""One environment with brax's interface as one of Gymnasium's, for films: stepped from Python, and drawn by MuJoCo."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from ddpg_jax.envs.brax_interface import hold_action, read_spec, unbounded_spaces
from ddpg_jax.types import Array, Tree


class FilmedEnv(gymnasium.Env):
    """An environment that draws itself.

    Args:
        world: the environment, in none of its package's wrappers.
        episode_length: steps after which an episode is truncated.
        model: MuJoCo's.
        pose: `pose(state) -> (qpos, qvel)`, of MuJoCo's data.
        action_repeat: as of `from_brax`.
    """

    def __init__(
        self,
        world: Any,
        episode_length: int,
        model: mujoco.MjModel,
        pose: Callable[[Tree], tuple[Array, Array]],
        action_repeat: int = 1,
    ):
        rate = round(1 / (action_repeat * float(world.dt)))
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": rate}
        self.action_repeat = action_repeat
        self.render_mode, self.episode_length, self.pose = "rgb_array", episode_length, pose
        spec, like = read_spec(world)
        self.observation_space, self.action_space = unbounded_spaces(spec)
        self.reset_world, self.step_world = jax.jit(world.reset), jax.jit(hold_action(world.step, like, action_repeat))
        self.model, self.data = model, mujoco.MjData(model)
        self.renderer: mujoco.Renderer | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation of an episode."""
        super().reset(seed=seed)
        self.state, self.length = self.reset_world(jax.random.PRNGKey(seed or 0)), 0
        return jax.device_get(self.state.obs), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step, truncated where the limit is."""
        self.state, self.length = self.step_world(self.state, jnp.asarray(action)), self.length + self.action_repeat
        obs, reward, done = jax.device_get((self.state.obs, self.state.reward, self.state.done))
        return obs, float(reward), bool(done), self.length >= self.episode_length, {}

    def render(self) -> np.ndarray:
        """A picture of where it stands, uint8 `[H, W, 3]`."""
        self.data.qpos, self.data.qvel = self.pose(self.state)
        mujoco.mj_forward(self.model, self.data)
        self.renderer = self.renderer or mujoco.Renderer(self.model)
        self.renderer.update_scene(self.data)
        return self.renderer.render()

    def close(self) -> None:
        """Free what drawing holds."""
        if self.renderer:
            self.renderer.close()
