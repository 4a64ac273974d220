# SPDX-License-Identifier: Apache-2.0
"""Fully connected: rows of K inputs times weights (N, K)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape, Tensor, constant
from edgekit.kernel import Binding, CStruct, CValue, Features, Kernel, flat_features, input_rows
from edgekit.ops._accumulating import accumulating_twin
from edgekit.ops._accumulators import weighted_bound
from edgekit.ops._dot import fully_connected_kernels
from edgekit.ops._dsp_fully_connected import DSP_ACCUMULATING, DSP_PARTS, DSP_ROWS
from edgekit.ops._int16_cases import int16_cases, narrow_sum_cases, wide_sum_cases
from edgekit.ops._mve_matrix import matrix_features, matrix_members, matrix_problem
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.ops._weighted import (
    BIAS,
    INPUT,
    WEIGHTS,
    WeightedArithmetic,
    common_members,
    finish,
    finish_float,
    narrow_kernel,
    quantize_weights,
    verify_weighted,
    wide_kernel,
)
from edgekit.ops._weighted_cases import int32_end_case, tie_case, weighted_case


@dataclass(frozen=True)
class FullyConnected:
    """The clamp that is fused behind (None: no bound), and the shape of the output.

    The last dimensions of the input flatten to rows of K elements; the output is (rows, N), or the
    input's shape with N in place of K where ``keep_dims``.
    """

    keep_dims: bool = False
    activation_min: float | None = None
    activation_max: float | None = None


def _rows(call: Call) -> int:
    return call.inputs[INPUT].elements // call.inputs[WEIGHTS].shape[1]


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    output_channels, input_channels = call.inputs[WEIGHTS].shape
    return CStruct(
        "ek_fully_connected_s8",
        {
            **common_members(call),
            "rows": _rows(call),
            "input_channels": input_channels,
            "output_channels": output_channels,
        },
    )


REF = Kernel(
    symbol="ek_fully_connected_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    features=lambda call: {"macs": OPERATOR.macs(call), **flat_features(call)},
    stack_bytes=128,
)


def _int64_weights(call: Call) -> Array:
    return call.constant(WEIGHTS).astype(np.int64)


def _pack_mve(call: Call, binding: Binding) -> CStruct:
    output_channels, input_channels = call.inputs[WEIGHTS].shape
    return CStruct(
        "ek_fully_connected_s8_interleaved",
        {
            **matrix_members(call, _int64_weights(call)),
            "rows": _rows(call),
            "input_channels": input_channels,
            "output_channels": output_channels,
        },
    )


def _mve_features(call: Call) -> Features:
    channels, depth = call.inputs[WEIGHTS].shape
    matrix = matrix_features(pixels=_rows(call), channels=channels, depth=depth)
    return {"layers": 1, **matrix}


MVE = Kernel(
    symbol="ek_fully_connected_s8_interleaved__mve_3x2",
    isa="mve",
    kind="map",
    pack=_pack_mve,
    accepts=lambda call: matrix_problem(call, _int64_weights(call)),
    features=_mve_features,
    stack_bytes=400,
)

S16 = wide_kernel(REF, "ek_fully_connected_s16__ref")
S16_NARROW = narrow_kernel(REF, "ek_fully_connected_s16__ref_narrow")


def _refuse_rows(call: Call) -> str | None:
    """Why the input is not one row, which may arrive in parts, or None."""
    return f"its input has {_rows(call)} rows" if _rows(call) > 1 else None


def _parts(call: Call, binding: Binding) -> dict[str, CValue]:
    """The parts of the only row; each has as many inputs."""
    rows, inputs = input_rows(call, binding), call.inputs[WEIGHTS].shape[1]
    assert inputs % rows == 0, f"{call.node}: {inputs} inputs are not {rows} equal parts"
    return {"rows": rows}


DOT, DOT_ACCUMULATING = fully_connected_kernels(_refuse_rows, _parts)
ACCUMULATING = tuple(
    accumulating_twin(kernel, state_bytes=state_bytes, accepts=_refuse_rows, members=_parts)
    for kernel, state_bytes in ((REF, 4), (S16, 8), (S16_NARROW, 4))
)


class FullyConnectedOperator(Operator):
    name = "fully_connected"
    attributes = FullyConnected
    arithmetic = WeightedArithmetic
    kernels = (
        *(MVE, DSP_ROWS, DSP_PARTS, DSP_ACCUMULATING, DOT, DOT_ACCUMULATING),
        *(REF, S16, S16_NARROW, *ACCUMULATING),
    )

    def output_shape(self, attributes: FullyConnected, inputs: Sequence[Shape]) -> Shape:
        channels, row_elements = inputs[WEIGHTS]
        if attributes.keep_dims:
            return (*inputs[INPUT][:-1], channels)
        elements = int(np.prod(inputs[INPUT], dtype=np.int64))
        return (elements // row_elements, channels)

    def verify(self, call: Call) -> None:
        shape = call.constant(WEIGHTS).shape
        x = call.inputs[INPUT]
        if len(shape) != 2:
            raise call.fail(f"the weights have shape {shape}; it must be (outputs, inputs)")
        if x.elements % shape[1]:
            raise call.fail(f"an input of shape {x.shape} is no whole number of rows of {shape[1]}")
        if call.node.attributes.keep_dims and x.shape[-1:] != shape[1:]:
            raise call.fail(f"keep_dims needs a last dimension of {shape[1]}, not {x.shape[-1:]}")
        verify_weighted(call, channels=shape[0])

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        # float64 holds the sums exactly, as in conv2d.
        x = inputs[INPUT].astype(np.float64) - call.node.arithmetic.input_zero_point
        weights = inputs[WEIGHTS].astype(np.float64)
        sums = x.reshape(-1, weights.shape[1]) @ weights.T
        return finish(sums.astype(np.int64), call).reshape(call.output.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: FullyConnected = call.node.attributes
        # float64, so that float32 results (and scales) do not depend on the order of a BLAS.
        weights = inputs[WEIGHTS].astype(np.float64)
        sums = inputs[INPUT].astype(np.float64).reshape(-1, weights.shape[1]) @ weights.T
        bias = inputs[BIAS] if len(inputs) > BIAS else None
        activation = (attributes.activation_min, attributes.activation_max)
        return finish_float(sums, bias, activation).reshape(call.output.shape)

    def quantize(self, call: Call) -> Quantized:
        attributes: FullyConnected = call.node.attributes
        activation = (attributes.activation_min, attributes.activation_max)
        return Quantized(*quantize_weights(call, activation=activation))

    def accumulator_bound(self, call: Call) -> int:
        return weighted_bound(call)

    def macs(self, call: Call) -> int:
        return call.inputs[INPUT].elements * call.inputs[WEIGHTS].shape[0]

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield _single_products(int32_end_case)
        yield from int16_cases(self._int8_cases())
        point = FullyConnected()
        yield from wide_sum_cases(OPERATOR, point, (1, 2048, 1))
        yield from narrow_sum_cases(OPERATOR, point, (1, 2048, 1))
        narrow = _case("narrow_map_as_one_row", (1, 3, 2, 5), 6, row_elements=30)
        yield from int16_cases((narrow, _halves_case("narrow_row_of_ties")), bias="int32")
        yield _wide_row_case()

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("row_of_64_to_10", (1, 64), 10)
        yield _case("odd_sizes", (1, 13), 7)
        yield _case("one_to_one", (1, 1), 1)
        yield _case("whole_map_as_one_row", (1, 3, 2, 5), 6, row_elements=30)
        yield _case("pixels_as_rows", (1, 3, 2, 5), 6)
        yield _case("keep_dims", (1, 3, 4, 8), 3, keep_dims=True)
        yield _case("rank_3", (1, 7, 9), 4, keep_dims=True)
        yield _case("left_shift", (1, 8), 4, shift=2)
        yield _case("saturates_both_ends", (1, 32), 8, shift=0)
        yield _case("clamped_at_zero_point", (1, 16), 8, minimum=-7)
        yield _case("without_bias", (1, 16), 8, with_bias=False)
        yield _halves_case("row_of_ties")
        yield _single_products(tie_case)


def _case(
    name: str,
    shape: Shape,
    channels: int,
    *,
    row_elements: int | None = None,
    keep_dims: bool = False,
    shift: int = -7,
    minimum: int = -128,
    with_bias: bool = True,
) -> Case:
    return weighted_case(
        OPERATOR,
        name,
        FullyConnected(keep_dims=keep_dims),
        input_shape=shape,
        weights_shape=(channels, row_elements or shape[-1]),
        channels=channels,
        shift=shift,
        minimum=minimum,
        with_bias=with_bias,
    )


def _single_products(case: Callable[..., Case]) -> Case:
    values = np.arange(-128, 128).astype(np.int8).reshape(1, 256, 1)
    weights = np.array([1, 3, 1, -1], np.int8).reshape(4, 1)
    return case(OPERATOR, FullyConnected(), x=values, weights=weights)


def _halves_case(name: str) -> Case:
    """Half of each small sum of one row: every other one is a tie, whatever the inputs are."""
    case = _case(name, (1, 2, 1, 2), 64, row_elements=4)
    (node,) = case.graph.nodes
    halves = dataclasses.replace(node.arithmetic, multipliers=(2**30,) * 64, shifts=(0,) * 64)
    weights = np.resize(np.array([1, -1, 0, 0, -1, 0, 1, -1], np.int8), (64, 4))
    bias = np.arange(-32, 32).astype(np.int32)
    return _replaced(case, halves, constant("weights", weights), constant("bias", bias))


def _wide_row_case() -> Case:
    """One row whose sums need more than 32 bits from the bias on."""
    case = _case("sums_of_46_bits_in_one_row", (1, 3, 2, 5), 4, row_elements=30, shift=-30)
    (wide,) = int16_cases((case,))
    bias = np.array([2**45, -(2**45), 2**33 + 1, -(2**33) - 1], np.int64)
    return _replaced(wide, wide.graph.nodes[0].arithmetic, constant("bias", bias))


def _replaced(case: Case, arithmetic: WeightedArithmetic, *constants: Tensor) -> Case:
    (node,) = case.graph.nodes
    tensors = {**case.graph.tensors, **{tensor.name: tensor for tensor in constants}}
    nodes = (dataclasses.replace(node, arithmetic=arithmetic),)
    graph = dataclasses.replace(case.graph, tensors=tensors, nodes=nodes)
    return Case(case.name, graph.verify(), case.inputs)


OPERATOR: FullyConnectedOperator = FullyConnectedOperator()
