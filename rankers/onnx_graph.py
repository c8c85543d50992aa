"""MiniLM as an ONNX graph, written from its weights node by node: the same bytes every time.

A traced export holds what a version of torch and of its exporter made of the model. This one needs
neither. `int8` keeps the weights of every linear layer as integers of seven bits by output channel,
and rounds what goes into the layer to eight bits *by token*. The usual dynamic quantisation takes
one scale for the whole batch, so that the vector of a text depends on the texts beside it, and
serving would see other vectors than training did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

Precision = Literal["fp32", "int8"]
Weights = Mapping[str, npt.NDArray[Any]]

RECIPE = {
    "fp32": "onnx-fp32.v1",
    "int8": "onnx-int8.v1",
}  # in the fingerprint: raise with the graph
OPSET, IR_VERSION = 20, 10
FUSED = "com.microsoft"  # operators that ONNX Runtime ships beside the standard ones
LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = 1e-12
# AVX2 adds two products of a byte and a signed byte in 16 bits: 2 · 255 · 63 fits, 2 · 255 · 127
# saturates without a word. With seven bits every processor gives the same sum.
MOST_WEIGHT = 63
LEAST_STEP = 1e-12  # a token of nothing but zeros has a scale all the same
GELU_MINIMUM = 0.17  # it never falls below -0.17, so most of its byte can be for what is positive


def minilm_graph(weights: Weights, precision: Precision) -> bytes:
    """`ids` and `mask`, int64 of shape (n, tokens), become `vectors`, unit length, (n, 384)."""
    return _Graph(weights, precision).model()


@dataclass(frozen=True, kw_only=True)
class _Bytes:
    """How the numbers of a token become bytes: which byte is zero, and the smallest step."""

    zero: int
    least_step: float
    symmetric: bool


_SYMMETRIC = _Bytes(zero=128, least_step=LEAST_STEP, symmetric=True)
_AFTER_GELU = _Bytes(zero=16, least_step=GELU_MINIMUM / 16, symmetric=False)


class _Graph:
    """Nodes and constants in the order of the computation; names are counted."""

    def __init__(self, weights: Weights, precision: Precision) -> None:
        self._weights = weights
        self._precision = precision
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self) -> bytes:
        hidden = self._embeddings()
        mask = self._node("Cast", "mask", to=TensorProto.INT32)
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask)
        self._pooled(hidden)
        shape: list[str | int] = ["n", "tokens"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("ids", "mask")
        ]
        output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", WIDTH])
        graph = helper.make_graph(self._nodes, "minilm", inputs, [output], self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _embeddings(self) -> str:
        table = self._weights["embeddings.word_embeddings.weight"]
        words = self._node("Gather", self._constant(table), "ids")
        # A text alone is always the first segment, so its share is added once and for all.
        places = (
            self._weights["embeddings.position_embeddings.weight"]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        zero = self._constant(np.array([0]))
        tokens = self._node("Shape", "ids", start=1, end=2)
        placed = self._node("Slice", self._constant(places), zero, tokens, zero)
        return self._node(
            "LayerNormalization",
            self._node("Add", words, placed),
            *self._norm("embeddings.LayerNorm"),
            axis=-1,
            epsilon=EPSILON,
        )

    def _layer(self, name: str, hidden: str, mask: str) -> str:
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        projected = self._linear(hidden, *parts)
        split = self._constant(np.array([WIDTH] * len(parts)))
        self._nodes.append(
            helper.make_node("Split", [projected, split], parts, name=f"{name}.split", axis=-1)
        )
        attended = self._fused("MultiHeadAttention", *parts, "", mask, num_heads=HEADS)
        attended = self._linear(attended, f"{name}.attention.output.dense")
        hidden = self._residual(attended, hidden, f"{name}.attention.output.LayerNorm")
        inner = self._node("Gelu", self._linear(hidden, f"{name}.intermediate.dense"))
        outer = self._linear(inner, f"{name}.output.dense", after_gelu=True)
        return self._residual(outer, hidden, f"{name}.output.LayerNorm")

    def _pooled(self, hidden: str) -> None:
        """The direction of the mean over the tokens, which is that of their sum."""
        floats = self._node("Cast", "mask", to=TensorProto.FLOAT)
        masked = self._node(
            "Mul", hidden, self._node("Unsqueeze", floats, self._constant(np.array([-1])))
        )
        total = self._node("ReduceSum", masked, self._constant(np.array([1])), keepdims=0)
        self._nodes.append(
            helper.make_node("LpNormalization", [total], ["vectors"], name="unit", axis=-1, p=2)
        )

    def _linear(self, x: str, *layers: str, after_gelu: bool = False) -> str:
        """Layers of the same input side by side, as one product."""
        weight = np.concatenate([self._weights[f"{name}.weight"] for name in layers]).T
        bias = self._constant(np.concatenate([self._weights[f"{name}.bias"] for name in layers]))
        if self._precision == "fp32":
            return self._node("Add", self._node("MatMul", x, self._constant(weight)), bias)
        inner, outer = weight.shape
        integers, scales = _by_channel(weight)
        rows = self._node("Reshape", x, self._constant(np.array([-1, inner])))
        quantised, steps, zero = self._by_token(rows, _AFTER_GELU if after_gelu else _SYMMETRIC)
        product = self._fused(
            "MatMulIntegerToFloat",
            quantised,
            self._constant(integers),
            self._constant(np.float32(1)),  # it knows one scale for all rows; theirs follow
            self._constant(scales),
            zero,
        )
        column = self._node("Unsqueeze", steps, self._constant(np.array([1])))
        scaled = self._node("Add", self._node("Mul", product, column), bias)
        shape = self._node(
            "Concat",
            self._node("Shape", x, start=0, end=2),
            self._constant(np.array([outer])),
            axis=0,
        )
        return self._node("Reshape", scaled, shape)

    def _by_token(self, rows: str, bytes_: "_Bytes") -> tuple[str, str, str]:
        """The rows as bytes, the step of each, and the byte that stands for zero."""
        size = self._node("Abs", rows) if bytes_.symmetric else rows
        peaks = self._node("ReduceMax", size, self._constant(np.array([1])), keepdims=0)
        steps = self._node(
            "Max",
            self._node("Mul", peaks, self._constant(np.float32(1 / (255 - bytes_.zero)))),
            self._constant(np.float32(bytes_.least_step)),
        )
        zero = self._constant(np.uint8(bytes_.zero))
        zeros = self._node("Expand", zero, self._node("Shape", steps))
        return self._node("QuantizeLinear", rows, steps, zeros, axis=0), steps, zero

    def _residual(self, x: str, before: str, norm: str) -> str:
        return self._fused("SkipLayerNormalization", x, before, *self._norm(norm), epsilon=EPSILON)

    def _norm(self, name: str) -> tuple[str, str]:
        weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
        return self._constant(weight), self._constant(bias)

    def _fused(self, operator: str, *inputs: str, **settings: Any) -> str:
        return self._node(operator, *inputs, domain=FUSED, **settings)

    def _node(self, operator: str, *inputs: str, domain: str = "", **settings: Any) -> str:
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **settings)
        )
        return name

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name


def _by_channel(
    weight: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Integers of shape (in, out) and the step of each output channel."""
    steps = np.abs(weight).max(axis=0) / MOST_WEIGHT
    return np.round(weight / steps).astype(np.int8), steps.astype(np.float32)
