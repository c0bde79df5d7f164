"""A builder of ONNX graphs: values with operators, constants, and graphs within a graph.

`torch.onnx.export` traces a network twice with symbolic shapes, which takes 10 to 30 CPU seconds each, fixes the number
of steps of an LSTM, and knows no calibration. Here the operators are written down, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

OPSET, IR_VERSION = 18, 9
FEWEST_HALF = 64  # numbers of a constant that is stored in float16, if it loses nothing


class Value:
    """A tensor of a graph, of a known type.

    Parameters
    ----------
    graph : Graph
    name : str
    dtype : numpy.dtype
    """

    def __init__(self, graph: Graph, name: str, dtype: np.dtype) -> None:
        self.graph, self.name, self.dtype = graph, name, dtype

    def _with(self, op: str, other: Value | ArrayLike, dtype: DTypeLike | None = None) -> Value:
        return self.graph.op(op, self, self.graph.as_value(other, self), dtype=dtype or self.dtype)

    def __add__(self, other: Value | ArrayLike) -> Value:
        return self._with("Add", other)

    def __sub__(self, other: Value | ArrayLike) -> Value:
        return self._with("Sub", other)

    def __mul__(self, other: Value | ArrayLike) -> Value:
        return self._with("Mul", other)

    def __truediv__(self, other: Value | ArrayLike) -> Value:
        return self._with("Div", other)

    def __matmul__(self, other: Value | ArrayLike) -> Value:
        return self._with("MatMul", other)

    def __gt__(self, other: Value | ArrayLike) -> Value:
        return self._with("Greater", other, bool)

    def __ge__(self, other: Value | ArrayLike) -> Value:
        return self._with("GreaterOrEqual", other, bool)

    def __lt__(self, other: Value | ArrayLike) -> Value:
        return self._with("Less", other, bool)

    def __and__(self, other: Value) -> Value:
        return self._with("And", other)

    def __or__(self, other: Value) -> Value:
        return self._with("Or", other)

    def __invert__(self) -> Value:
        return self.graph.op("Not", self)

    def equals(self, other: Value | ArrayLike) -> Value:
        """Return where the values are equal."""
        return self._with("Equal", other, bool)

    def cast(self, dtype: DTypeLike) -> Value:
        """Return the values in another type."""
        from onnx.helper import np_dtype_to_tensor_dtype

        kind = np.dtype(dtype)
        return (
            self.graph.op("Cast", self, to=np_dtype_to_tensor_dtype(kind), dtype=kind) if kind != self.dtype else self
        )

    def reshape(self, *shape: int) -> Value:
        """Return the values in another shape; 0 keeps the axis, -1 is what remains."""
        return self.graph.op("Reshape", self, self.graph.constant(np.array(shape, np.int64)))

    def transpose(self, *axes: int) -> Value:
        """Return the values with other axes."""
        return self.graph.op("Transpose", self, perm=list(axes))

    def unsqueeze(self, *axes: int) -> Value:
        """Return the values with new axes of length 1."""
        return self.graph.op("Unsqueeze", self, self.graph.constant(np.array(axes, np.int64)))

    def squeeze(self, *axes: int) -> Value:
        """Return the values without axes of length 1."""
        return self.graph.op("Squeeze", self, self.graph.constant(np.array(axes, np.int64)))

    def slice(self, axis: int, start: int, end: int | None = None) -> Value:
        """Return the values ``start`` to ``end`` of an axis."""
        bounds = [[start], [np.iinfo(np.int64).max if end is None else end], [axis]]
        return self.graph.op("Slice", self, *(self.graph.constant(np.array(x, np.int64)) for x in bounds))

    def take(self, index: Value | ArrayLike, axis: int = 0) -> Value:
        """Return the values at indices (int64) of an axis."""
        rows = index if isinstance(index, Value) else self.graph.constant(np.asarray(index, np.int64))
        return self.graph.op("Gather", self, rows, axis=axis)

    def reduce(self, how: str, *axes: int, keep: bool = False) -> Value:
        """Return the ``"Sum"``, ``"Mean"`` or ``"Max"`` over axes."""
        return self.graph.op(f"Reduce{how}", self, self.graph.constant(np.array(axes, np.int64)), keepdims=int(keep))

    def clip(self, low: float | None = None, high: float | None = None) -> Value:
        """Return the values within limits."""
        limits = [None if x is None else self.graph.constant(np.asarray(x, self.dtype)) for x in (low, high)]
        return self.graph.op("Clip", self, *limits)

    def where(self, condition: Value, otherwise: Value | ArrayLike) -> Value:
        """Return the values where a condition holds, others elsewhere."""
        return self.graph.op("Where", condition, self, self.graph.as_value(otherwise, self), dtype=self.dtype)

    def split(self, parts: int, axis: int = -1) -> list[Value]:
        """Return equal parts along an axis."""
        return self.graph.ops("Split", parts, self, axis=axis, num_outputs=parts)

    def apply(self, op: str, **attributes: Any) -> Value:
        """Return the values through an operator with one input."""
        return self.graph.op(op, self, **attributes)

    def is_finite(self) -> Value:
        """Return which values are numbers."""
        return self.equals(self) & (self.apply("Abs") < np.inf)  # NaN equals nothing

    def softmax(self, axis: int = -1) -> Value:
        """Return the softmax along an axis."""
        return self.graph.op("Softmax", self, axis=axis)

    def logsumexp(self, axis: int) -> Value:
        """Return log sum exp over an axis, kept with length 1."""
        largest = self.reduce("Max", axis, keep=True)
        return (self - largest).apply("Exp").reduce("Sum", axis, keep=True).apply("Log") + largest


class Graph:
    """An ONNX graph in the making; constants and names are shared with the graphs in it.

    Parameters
    ----------
    outer : Graph, optional
        The graph that this one is in, as the body of a loop.
    """

    def __init__(self, outer: Graph | None = None) -> None:
        self.outer = outer
        self.main: Graph = self if outer is None else outer.main
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        if outer is None:
            self.initializers: list[Any] = []
            self._constants: dict[tuple[Any, ...], Value] = {}
            self._count = 0

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[str | int | None]) -> Value:
        """Return a new input; axes of any length have a name."""
        self.inputs.append(_description(name, dtype, shape))
        return Value(self, name, np.dtype(dtype))

    def output(self, name: str, value: Value, shape: Sequence[str | int | None]) -> None:
        """Make a value an output."""
        from onnx.helper import make_node

        self.nodes.append(make_node("Identity", [value.name], [name]))
        self.outputs.append(_description(name, value.dtype, shape))

    def constant(self, array: ArrayLike, dtype: DTypeLike | None = None) -> Value:
        """Return an array as a value; one of float32 is stored in float16 if it loses nothing."""
        from onnx import numpy_helper

        x, main = np.asarray(array, dtype), self.main
        key = (x.dtype.str, x.shape, x.tobytes())
        if key not in main._constants:
            name = main.new_name()
            with np.errstate(over="ignore"):
                half = x.astype(np.float16) if x.dtype == np.float32 and x.size >= FEWEST_HALF else None
            if half is not None and np.array_equal(half.astype(np.float32), x):
                main.initializers.append(numpy_helper.from_array(half, name))
                main._constants[key] = Value(main, name, half.dtype).cast(np.float32)
            else:
                main.initializers.append(numpy_helper.from_array(np.ascontiguousarray(x).reshape(x.shape), name))
                main._constants[key] = Value(main, name, x.dtype)
        known = main._constants[key]
        return Value(self, known.name, known.dtype)

    def as_value(self, other: Value | ArrayLike, value: Value) -> Value:
        """Return a value, or a constant in the type of ``value``."""
        return other if isinstance(other, Value) else self.constant(np.asarray(other, value.dtype))

    def op(self, op: str, *inputs: Value | None, dtype: DTypeLike | None = None, **attributes: Any) -> Value:
        """Return the only output of an operator, in the type of its first input unless stated."""
        return self.ops(op, 1, *inputs, dtype=dtype, **attributes)[0]

    def ops(
        self, op: str, outputs: int, *inputs: Value | None, dtype: DTypeLike | None = None, **attributes: Any
    ) -> list[Value]:
        """Return the outputs of an operator."""
        from onnx.helper import make_node

        kind = np.dtype(dtype) if dtype is not None else next(x.dtype for x in inputs if x is not None)
        names = [self.main.new_name() for _ in range(outputs)]
        parts = ["" if x is None else x.name for x in inputs]
        while parts and not parts[-1]:
            parts.pop()
        self.nodes.append(make_node(op, parts, names, **attributes))
        return [Value(self, name, kind) for name in names]

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """Return values joined along an axis."""
        return self.op("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]

    def new_name(self) -> str:
        """Return a name that no value has."""
        self._count += 1
        return f"v{self._count}"

    def to_proto(self, name: str) -> Any:
        """Return the graph as ONNX keeps it."""
        from onnx.helper import make_graph

        constants = self.initializers if self.outer is None else []
        return make_graph(self.nodes, name, self.inputs, self.outputs, constants)

    def to_model(self, name: str, metadata: dict[str, str]) -> bytes:
        """Return the bytes of a file with the graph and its metadata.

        Raises
        ------
        onnx.checker.ValidationError
            If the graph is none.
        """
        from onnx import checker
        from onnx.helper import make_model, make_opsetid, set_model_props

        proto = make_model(
            self.to_proto(name),
            opset_imports=[make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="goodricke",
        )
        set_model_props(proto, metadata)
        checker.check_model(proto)
        return bytes(proto.SerializeToString())


def _description(name: str, dtype: DTypeLike, shape: Sequence[str | int | None]) -> Any:
    """Return the type and shape of an input or output."""
    from onnx.helper import make_tensor_value_info, np_dtype_to_tensor_dtype

    return make_tensor_value_info(name, np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))


def array(x: Any) -> NDArray[np.float32]:
    """Return a tensor of weights as an array."""
    return np.asarray(x.detach().float().cpu().numpy())
