"""A policy as an ONNX graph of standard operators."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ddpg_jax
from ddpg_jax.runs.export.layers import Layer
from ddpg_jax.runs.export.spaces import Spaces
from ddpg_jax.types import Tree, named_leaves

FILE, INPUT, OUTPUT = "policy.onnx", "observation", "action"
# The oldest that has LayerNormalization, and the file format of its time, so that older runtimes read it, too.
OPSET, IR_VERSION = 17, 8


def gelu(add: Callable[..., str], x: str) -> str:
    """GELU in the approximation with tanh (Hendrycks and Gimpel, 2016, section 2), which is flax's."""
    cubed = add("Mul", x, add("Mul", x, x))
    inner = add("Mul", np.sqrt(2 / np.pi), add("Add", x, add("Mul", np.array(0.044715), cubed)))
    return add("Mul", add("Mul", x, np.array(0.5)), add("Add", np.array(1.0), add("Tanh", inner)))


def clip(add: Callable[..., str], x: str, low: np.ndarray, high: np.ndarray) -> str:
    """Each number within bounds of its own, which the operator Clip does not have."""
    return add("Min", add("Max", x, low), high)


def scale(
    add: Callable[..., str], x: str, scale: np.ndarray, bias: np.ndarray, low: np.ndarray, high: np.ndarray
) -> str:
    """From [-1, 1] to the bounds, which -1 and 1 are (`ddpg_jax.action_bounds.scale_action`)."""
    between = clip(add, add("Add", bias, add("Mul", scale, x)), low, high)
    above = add("Where", add("LessOrEqual", x, np.array(-1.0)), low, between)
    return add("Where", add("GreaterOrEqual", x, np.array(1.0)), high, above)


# The operators of each kind of layer: `add(operator, *inputs)` puts one in the graph and returns its output's name;
# an input is such a name, or an array.
OPERATORS: dict[str, Callable[..., str]] = {
    "affine": lambda add, x, kernel, bias: add("Gemm", x, kernel, bias),
    "layer_norm": lambda add, x, scale, bias, epsilon: add(
        "LayerNormalization", x, scale, bias, epsilon=float(epsilon)
    ),
    "relu": lambda add, x: add("Relu", x),
    "tanh": lambda add, x: add("Tanh", x),
    "elu": lambda add, x: add("Elu", x),
    "gelu": gelu,
    "silu": lambda add, x: add("Mul", x, add("Sigmoid", x)),
    # The mean first, as the agent does it: where it is many deviations, scale x + bias loses digits of x.
    "standardize": lambda add, x, mean, rest, stddev, low, high: clip(
        add, add("Div", add("Sub", add("Sub", x, mean), rest), stddev), low, high
    ),
    "scale": scale,
}


def write(folder: Path, layers: tuple[Layer, ...], spaces: Spaces) -> None:
    """Write the graph."""
    import onnx

    onnx.save(make_model(layers, spaces), str(folder / FILE))


def make_model(layers: tuple[Layer, ...], spaces: Spaces) -> Any:
    """The graph `observation [batch, *obs shape] -> action [batch, *action shape]`, computed in float32.

    Of a Dict, each leaf is an input of its own, such as `observation.achieved_goal`.

    Args:
        layers: between the two.
        spaces: say their shapes and dtypes; observations are of the environment's own.

    Returns:
        An `onnx.ModelProto` that ONNX's checker has passed.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.asarray(array), f"constant_{len(constants)}"))
        return constants[-1].name

    def add(operator: str, *inputs: str | np.ndarray, **attributes: Any) -> str:
        names = [item if isinstance(item, str) else constant(np.asarray(item, np.float32)) for item in inputs]
        nodes.append(helper.make_node(operator, names, [f"{operator}_{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def reshape(x: str, *shape: int) -> str:
        return add("Reshape", x, constant(np.array([0, *shape], np.int64)))  # 0 keeps the batch, whatever it is

    leaves, dtypes = named_leaves({INPUT: spaces.spec.obs}), named_leaves({INPUT: spaces.obs_dtype})
    vectors = [reshape(add("Cast", name, to=TensorProto.FLOAT), math.prod(leaf.shape)) for name, leaf in leaves.items()]
    x = add("Concat", *vectors, axis=1) if len(vectors) > 1 else vectors[0]
    for layer in layers:
        x = OPERATORS[layer.kind](add, x, *layer.arrays.values())
    reshape(x, *spaces.action_shape)
    nodes[-1].output[0] = OUTPUT

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtypes[name]), ["batch", *leaf.shape])
        for name, leaf in leaves.items()
    ]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", *spaces.action_shape])]
    model = helper.make_model(
        helper.make_graph(nodes, "policy", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ddpg_jax",
        producer_version=ddpg_jax.__version__,
    )
    checker.check_model(model, full_check=True)
    return model


def load(folder: Path) -> Callable[[Tree], np.ndarray]:
    """What is in the graph, as a function, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])
    return lambda obs: session.run([OUTPUT], named_leaves({INPUT: obs}))[0]
