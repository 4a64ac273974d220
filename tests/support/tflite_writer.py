# SPDX-License-Identifier: Apache-2.0
"""The writer of TFLite files under the name that the tests use.

Nothing is checked, so that a test can write wrong files too.
"""

from edgekit.converters.export.tflite_file import (
    DTYPE_TYPES,
    OPTION_KINDS,
    VERSIONS,
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    Writer,
    constant_spec,
    write_tflite,
)

__all__ = [
    "DTYPE_TYPES",
    "OPTION_KINDS",
    "VERSIONS",
    "ModelSpec",
    "OperatorSpec",
    "TensorSpec",
    "Writer",
    "constant_spec",
    "write_tflite",
]
