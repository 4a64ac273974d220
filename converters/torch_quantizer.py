# SPDX-License-Identifier: Apache-2.0
"""EdgekitQuantizer: says to torchao's PT2E flow what edgekit's integer operators compute.

Which results need equal scales, and which have a fixed one, is asked of the operators themselves
(edgekit/ops); a table here would be a second truth. torchao and PyTorch, which take seconds, are
imported when a quantizer is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.converters.quantize.float_parts import own_scale
from edgekit.converters.quantize.given import WEIGHTED_CHANNEL_AXIS
from edgekit.converters.quantize.sharing import shares_input
from edgekit.converters.torch.survey import ModuleSurvey, SurveyedNode
from edgekit.errors import BadInputError, MissingProgramError
from edgekit.ir import Call, Quantization
from edgekit.ops import operator_of
from edgekit.ops.requantize import Requantize
from edgekit.quiet import quiet

ANNOTATION = "quantization_annotation"
"""Where PT2E looks for what a quantizer says about a node."""
LEAST_SCALE = 2.0**-16
"""Of weights and activations: a channel of zeros must leave room for its bias in int32."""
METHODS: Mapping[str, str] = {"histogram": "HistogramObserver", "minmax": "MinMaxObserver"}
ARITHMETIC = ("add", "maximum", "minimum", "mul", "sub")
"""Operators of ours whose constants have a scale of their own."""
WEIGHT_NAMES: Mapping[str, tuple[int, int | None, int]] = {
    **dict.fromkeys(("conv1d", "conv2d", "convolution", "linear"), (1, 2, 0)),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), (1, 2, 1)),
    **dict.fromkeys(("matmul", "mm"), (1, None, 1)),
    "addmm": (2, 0, 1),
}
"""ATen's layers: the arguments that hold weights and bias, and the axis of the output channels."""


class EdgekitQuantizer:
    """Quantizes as edgekit computes: for ``prepare_pt2e``, then ``convert_pt2e``, of torchao.

    Weights are int8 from -127 to 127 with one scale per output channel, biases int32 with the
    product of the scales of input and weights, activations int8 with one scale and zero point.
    Pooling, reshapes, concatenations and other moves keep one scale from input to output; softmax,
    sigmoid and tanh have the fixed scales of edgekit's operators. A clamp (ReLU, ReLU6) belongs to
    the layer in front of it, a batch norm to the convolution in front of it.

    What edgekit has no operator for is left in float; :func:`edgekit.convert` then refuses it by
    name. So a model that this class annotated whole converts without calibration::

        exported = torch.export.export(module, inputs).module()
        prepared = prepare_pt2e(exported, edgekit.EdgekitQuantizer())
        for sample in calibration:
            prepared(sample)
        edgekit.convert(convert_pt2e(prepared), inputs, target="cortex-m4")

    Training with quantization in the loop (``prepare_qat_pt2e``) takes :meth:`for_training`.

    Args:
        method: how ranges come from samples: "minmax" covers all of them, "histogram" may clip.

    Raises:
        BadInputError: there is no such method.
        MissingProgramError: PyTorch or torchao is not installed.
    """

    def __init__(self, method: str = "minmax") -> None:
        if method not in METHODS:
            raise BadInputError(f"method '{method}': use {' or '.join(METHODS)}")
        self._torch, self._observers, self._specs = _frameworks()
        self._specs.Quantizer.register(type(self))  # for those who ask isinstance
        self._activations = self._observer(METHODS[method])
        self._weights = self._observer("PerChannelMinMaxObserver")
        self._whole_weights = self._observer("MinMaxObserver")

    @classmethod
    def for_training(cls) -> EdgekitQuantizer:
        """For ``prepare_qat_pt2e``: ranges follow the training as moving averages.

        Call ``torchao.quantization.pt2e.move_exported_model_to_eval`` before ``convert_pt2e``.
        """
        quantizer = cls()
        fake = quantizer._observers.FakeQuantize
        moving = quantizer._observer("MovingAverageMinMaxObserver")
        per_channel = quantizer._observer("MovingAveragePerChannelMinMaxObserver")
        quantizer._activations = quantizer._whole_weights = fake.with_args(observer=moving)
        quantizer._weights = fake.with_args(observer=per_channel)
        return quantizer

    def _observer(self, name: str) -> Any:
        return getattr(self._observers, name).with_args(eps=LEAST_SCALE)

    def transform_for_annotation(self, model: Any) -> Any:
        """Part of PT2E's interface: the model needs no change."""
        return model

    def prepare_obs_or_fq_callback(self, model: Any, observers: Any) -> None:
        """Part of PT2E's interface: the observers need no change."""

    def annotate(self, model: Any) -> Any:
        """Write into every node how its inputs and its result are quantized."""
        with self._torch.no_grad():
            surveyed = ModuleSurvey(self._torch, model).nodes()
        floats = [entry for entry in surveyed if _is_float(entry)]
        groups = _Groups(floats)
        fused = _fused(floats)
        leaders: dict[str, Any] = {}
        for entry in floats:
            if entry.node not in fused and entry.tensor is not None:
                leaders.setdefault(groups.of(entry.tensor), entry.node)
        tensors = {entry.node: entry.tensor for entry in surveyed if entry.tensor is not None}
        for entry in floats:
            self._annotate(entry, groups, leaders, tensors, fused)
        return model

    def validate(self, model: Any) -> None:
        """Nothing to refuse here: what stays in float is refused by name when it is converted."""

    def _annotate(
        self,
        entry: SurveyedNode,
        groups: _Groups,
        leaders: Mapping[str, Any],
        tensors: Mapping[Any, str],
        fused: set[Any],
    ) -> None:
        annotation = self._specs.QuantizationAnnotation(
            _annotated=True, allow_implicit_sharing=False
        )
        for source in entry.inputs:
            if source in fused or source not in tensors:
                continue
            tensor = tensors[source]
            if entry.tensor is not None and _wants_equal_scales(entry):
                tensor = entry.tensor
            if (leader := leaders.get(groups.of(tensor))) is not None:
                annotation.input_qspec_map[source] = self._specs.SharedQuantizationSpec(leader)
        self._annotate_constants(entry, annotation.input_qspec_map, leaders, groups)
        if entry.tensor is not None and entry.node not in fused:
            group = groups.of(entry.tensor)
            annotation.output_qspec = (
                self._specification(groups.fixed.get(group))
                if leaders[group] is entry.node
                else self._specs.SharedQuantizationSpec(leaders[group])
            )
        entry.node.meta[ANNOTATION] = annotation

    def _annotate_constants(
        self,
        entry: SurveyedNode,
        inputs: dict[Any, Any],
        leaders: Mapping[str, Any],
        groups: _Groups,
    ) -> None:
        """Weights, bias, and the operands of arithmetic and concatenations."""
        if any(call.node.op in WEIGHTED_CHANNEL_AXIS for call in entry.calls):
            if entry.op in WEIGHT_NAMES:
                self._annotate_weights(entry, inputs)
            return
        for constant in entry.constants:
            if entry.tensor is not None and _wants_equal_scales(entry):
                inputs[constant] = self._specs.SharedQuantizationSpec(
                    leaders[groups.of(entry.tensor)]
                )
            elif entry.op != "batch_norm" and _is_arithmetic(entry):
                inputs[constant] = self._specification(None)

    def _annotate_weights(self, entry: SurveyedNode, inputs: dict[Any, Any]) -> None:
        node = entry.node
        weight_position, bias_position, axis = WEIGHT_NAMES[entry.op]
        weight = node.args[weight_position]
        if weight not in entry.constants:
            return
        grouped = entry.op.startswith("conv_transpose") and int(_argument(node, "groups", 1)) > 1
        inputs[weight] = self._specs.QuantizationSpec(
            dtype=self._torch.int8,
            observer_or_fake_quant_ctr=self._whole_weights if grouped else self._weights,
            quant_min=-127,
            quant_max=127,
            qscheme=self._torch.per_tensor_symmetric
            if grouped
            else self._torch.per_channel_symmetric,
            ch_axis=None if grouped else axis,
        )
        bias = node.args[bias_position] if bias_position in range(len(node.args)) else None
        (source,) = entry.inputs
        if bias in entry.constants and source in inputs and not _is_normalized(node):
            inputs[bias] = self._specs.DerivedQuantizationSpec(
                derived_from=[(source, node), (weight, node)],
                derive_qparams_fn=_bias_parameters,
                dtype=self._torch.int32,
                quant_min=-(2**31),
                quant_max=2**31 - 1,
                qscheme=self._torch.per_tensor_symmetric
                if grouped
                else self._torch.per_channel_symmetric,
                ch_axis=0,
            )

    def _specification(self, fixed: Quantization | None) -> Any:
        """An activation of int8: by its range, or with the scale that its operator has."""
        if fixed is not None:
            return self._specs.FixedQParamsQuantizationSpec(
                dtype=self._torch.int8,
                scale=fixed.scale,
                zero_point=fixed.zero_point,
                quant_min=-128,
                quant_max=127,
                qscheme=self._torch.per_tensor_affine,
            )
        return self._specs.QuantizationSpec(
            dtype=self._torch.int8,
            observer_or_fake_quant_ctr=self._activations,
            quant_min=-128,
            quant_max=127,
            qscheme=self._torch.per_tensor_affine,
        )


class _Groups:
    """Tensors that have one scale; ``fixed`` are the scales that some groups have anyway."""

    def __init__(self, entries: Sequence[SurveyedNode]) -> None:
        self._parents: dict[str, str] = {}
        self.fixed: dict[str, Quantization] = {}
        for entry in entries:
            for call in entry.calls:
                self._add(call)

    def of(self, tensor: str) -> str:
        while (parent := self._parents.get(tensor, tensor)) != tensor:
            tensor = parent
        return tensor

    def _add(self, call: Call) -> None:
        result = call.output.name
        if operator_of(call.node).wants_equal_scales:
            for tensor in call.activations:
                if self.of(tensor.name) not in self.fixed:
                    self._join(tensor.name, result)
        elif shares_input(call):
            self._join(call.inputs[0].name, result)
        elif (own := own_scale(call)) is not None:
            self.fixed[result] = own

    def _join(self, tensor: str, result: str) -> None:
        """The group of ``tensor`` takes in that of ``result``, which has no fixed scale."""
        first, second = self.of(tensor), self.of(result)
        if first != second:
            self._parents[second] = first


def _is_float(entry: SurveyedNode) -> bool:
    """Whether a node computes with real numbers (not with indices)."""
    return all(call.output.dtype == "float32" for call in entry.calls)


def _wants_equal_scales(entry: SurveyedNode) -> bool:
    return any(operator_of(call.node).wants_equal_scales for call in entry.calls)


def _is_arithmetic(entry: SurveyedNode) -> bool:
    return bool(entry.calls) and all(call.node.op in ARITHMETIC for call in entry.calls)


def _fused(entries: Sequence[SurveyedNode]) -> set[Any]:
    """Nodes whose results are never integers: a clamp or a trained batch norm takes them up."""
    by_node = {entry.node: entry for entry in entries}
    fused = set()
    for entry in entries:
        users = list(entry.node.users)
        if len(users) != 1 or not _computes(entry):
            continue
        user = by_node.get(users[0])
        if user is not None and (_is_clamp(user) or _is_normalized(entry.node)):
            fused.add(entry.node)
    return fused


def _computes(entry: SurveyedNode) -> bool:
    """Whether a result is new: neither an input, nor moved, nor with a scale of its own."""
    if entry.node.op == "placeholder" or entry.tensor is None:
        return False
    if not entry.calls:
        return entry.op == "batch_norm"  # one that is trained
    last = entry.calls[-1]
    moves = operator_of(last.node).wants_equal_scales or shares_input(last)
    return not moves and own_scale(last) is None and not _is_clamp(entry)


def _is_clamp(entry: SurveyedNode) -> bool:
    attributes = [call.node.attributes for call in entry.calls]
    return len(attributes) == 1 and isinstance(attributes[0], Requantize)


def _is_normalized(node: Any) -> bool:
    """Whether only a batch norm reads a convolution: in training, PyTorch folds the two itself."""
    users = list(node.users)
    names = [getattr(getattr(user.target, "_schema", None), "name", "") for user in users]
    return names == ["aten::batch_norm"]


def _argument(node: Any, name: str, default: Any) -> Any:
    """An argument of a call by the name that the schema of its operator has."""
    for position, argument in enumerate(node.target._schema.arguments):
        if argument.name == name:
            if position < len(node.args):
                return node.args[position]
            return node.kwargs.get(name, default)
    return default


def _bias_parameters(observers: Sequence[Any]) -> tuple[Any, Any]:
    """The scale of sums of products: that of the input times that of the weights."""
    source, _ = observers[0].calculate_qparams()
    weights, _ = observers[1].calculate_qparams()
    scales = source * weights
    return scales, scales.new_zeros(scales.shape).long()


def _frameworks() -> tuple[Any, Any, Any]:
    """PyTorch, and of torchao what observes and what annotates.

    Its warnings about binaries that do not fit this machine are not shown: nothing here needs them.
    """
    try:
        with quiet():
            import torch
            from torchao.quantization import pt2e
            from torchao.quantization.pt2e import quantizer
    except ImportError:
        raise MissingProgramError(
            "PyTorch or torchao is not installed; run: pip install 'edgekit[pt2e]'"
        ) from None
    return torch, pt2e, quantizer
