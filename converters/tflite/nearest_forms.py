# SPDX-License-Identifier: Apache-2.0
"""TFLite operators that are not supported, and the nearest form that is: the remedy of a refusal."""

from __future__ import annotations

from collections.abc import Mapping

_STATE = "CONV_2D over a window of the last steps, which the program keeps and feeds in whole"
_OUTSIDE = "RESHAPE to return its input, and compute it outside the model"
_DILATED = "it around a convolution of stride 1 without padding, as a dilated one"
_ONE_GRAPH = "one graph: export the branch that runs, without control flow"

NEAREST_FORMS: Mapping[str, str] = {
    "BATCH_TO_SPACE_ND": _DILATED,
    "DIV": "MUL by the reciprocal",
    "NEG": "SUB from a constant 0",
    "SPACE_TO_BATCH_ND": _DILATED,
    "SQUARED_DIFFERENCE": "SUB, and MUL of the difference by itself",
    "CONV_3D": "CONV_2D, the frames stacked as channels",
    **dict.fromkeys(
        ("LSTM", "RNN", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"),
        _STATE,
    ),
    **dict.fromkeys(("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN"), _STATE),
    **dict.fromkeys(("READ_VARIABLE", "ASSIGN_VARIABLE", "VAR_HANDLE"), _STATE),
    **dict.fromkeys(("WHILE", "IF", "CALL_ONCE"), _ONE_GRAPH),
    **dict.fromkeys(("EMBEDDING_LOOKUP", "EMBEDDING_LOOKUP_SPARSE", "HASHTABLE_LOOKUP"), _OUTSIDE),
    **dict.fromkeys(("TOPK_V2", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"), _OUTSIDE),
    **dict.fromkeys(("RFFT2D", "WHERE", "UNIQUE", "ONE_HOT", "BUCKETIZE"), _OUTSIDE),
    **dict.fromkeys(
        ("L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION"), "batch normalization before export"
    ),
}
"""Operator -> what to write in its place."""
