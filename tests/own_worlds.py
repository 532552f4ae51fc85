"""Files that a person would write: an environment whose reward is one of its arguments, a factory, ids, wrappers."""

import importlib
import sys

import gymnasium

from ddpg_jax.envs.own_code import NAMED

MY_ENVS = '''
import gymnasium
import numpy as np
from gymnasium.spaces import Box


class MyEnv(gymnasium.Env):
    """Earns g in each step, and never ends by itself."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode=None, g=1.0):
        self.render_mode, self.g = render_mode, g

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.obs, {}

    def step(self, action):
        self.obs = self.obs + 0.1 * action
        return self.obs, self.g, False, False, {}

    def render(self):
        return np.full((16, 16, 3), 100, np.uint8)


class Scaled(gymnasium.ObservationWrapper):
    """Shows observations times a factor."""

    def __init__(self, env, factor=1.0):
        super().__init__(env)
        self.factor = factor

    def observation(self, obs):
        return obs * np.float32(self.factor)


NUMBER = 3
'''
MY_FACTORY = """
from my_envs import MyEnv, Scaled


def make(g=3.0, render_mode=None):
    return Scaled(MyEnv(render_mode, g), 0.5)


def sized(size):
    return MyEnv()


def limited():
    import gymnasium

    return gymnasium.make("Pendulum-v1")


def nothing():
    return None


class NoEnv:
    pass


class NoWrapper:
    def __init__(self, env):
        pass
"""
MY_WORLDS = """
import gymnasium
import my_envs
gymnasium.register("MyOwn-v0", entry_point=my_envs.MyEnv, max_episode_steps=30)
gymnasium.register("MyEnv-v3", entry_point="my_envs:MyEnv", max_episode_steps=30)
"""
FILES = {"my_envs": MY_ENVS, "my_factory": MY_FACTORY, "my_worlds": MY_WORLDS}


def write(folder):
    """Put the files into a folder."""
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)


def forget(*others):
    """As in a new process: nothing of these files is known."""
    for name in (*FILES, *others):
        sys.modules.pop(name, None)
    for name in [name for name in gymnasium.registry if name.startswith(("MyOwn", "MyEnv"))]:
        del gymnasium.registry[name]
    NAMED.clear()
    importlib.invalidate_caches()
