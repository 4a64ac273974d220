# SPDX-License-Identifier: Apache-2.0
"""The type of a mapping: a node of the file becomes values of the graph under construction."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.converters.nchw.graph import Activation
from edgekit.converters.onnx.call import OnnxCall

Mapper = Callable[[OnnxCall], Activation | tuple[Activation, ...]]
