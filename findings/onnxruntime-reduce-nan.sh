#!/usr/bin/env bash
# onnxruntime 1.31.1: ReduceMax and ReduceMin keep a nan or lose it, as its place in the row has it.
#
# On the CPU the maximum of (nan, 0) is nan, and that of (0, nan) is 0; of (0, nan, 2) it is 2. NumPy, and the
# reference implementation that comes with onnx, give nan for all. Max and Min of two tensors, Relu, Tanh and Clip
# keep it. A policy whose observation holds a nan, or a minimum over critics one of which diverged, gives a plausible
# number.
# Printed: onnxruntime [nan  0.] [nan  2.] onnx reference [nan nan] [nan nan]
set -euo pipefail
unset PIP_CONSTRAINT PYTHONPATH
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$(command -v python3.11 || command -v python3)" -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --disable-pip-version-check \
  onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "columns"])
out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows"])


def reduced(operator, rows):
    node = helper.make_node(operator, ["x"], ["y"], axes=[1], keepdims=0)
    graph = helper.make_graph([node], "graph", [shape], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = {"x": np.array(rows, np.float32)}
    return session.run(None, x)[0], ReferenceEvaluator(model).run(None, x)[0]


two = [[np.nan, 0], [0, np.nan]]
three = [[np.nan, 0, 2], [0, np.nan, 2]]
found, expected = zip(reduced("ReduceMax", two), reduced("ReduceMax", three))
print("onnxruntime", *found, "onnx reference", *expected)
assert np.isnan(expected).all()
assert np.isnan([row[0] for row in found]).all()
assert [row[1] for row in found] == [0, 2]
assert reduced("ReduceMin", two)[0][1] == 0
PYTHON
