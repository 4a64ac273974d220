# SPDX-License-Identifier: Apache-2.0
"""TFLite operators that are not supported, and the nearest form that is: the remedy of a refusal."""

from __future__ import annotations

from collections.abc import Mapping

_STATE = "CONV_2D over a window of the last steps, which the program keeps and feeds in whole"
_OUTSIDE = "RESHAPE to return its input, and compute it outside the model"
_DILATED = "it around a convolution of stride 1 without padding, as a dilated one"
_IN_FLOAT = "it between DEQUANTIZE and QUANTIZE, as the TFLite converter leaves it"
_ONE_GRAPH = "one graph: export the branch that runs, without control flow"

NEAREST_FORMS: Mapping[str, str] = {
    "BATCH_TO_SPACE_ND": _DILATED,
    **dict.fromkeys(("DIV", "FLOOR_DIV", "FLOOR_MOD"), "MUL by the reciprocal"),
    **dict.fromkeys(("POW", "SQUARE"), "MUL of the map by itself"),
    **dict.fromkeys(("FLOOR", "SQRT"), _IN_FLOAT),
    **dict.fromkeys(("CEIL", "COS", "LOG", "ROUND", "SIGN", "SIN"), _OUTSIDE),
    **dict.fromkeys(("SELECT", "SELECT_V2"), "MINIMUM and MAXIMUM"),
    **dict.fromkeys(
        ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"),
        "SUB: the sign of the difference tells it",
    ),
    "ADD_N": "ADD of two at a time",
    "L2_POOL_2D": "AVERAGE_POOL_2D",
    "NEG": "SUB from a constant 0",
    "REDUCE_PROD": "MUL of the parts that SPLIT gives",
    "SPACE_TO_BATCH_ND": _DILATED,
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
    "LOCAL_RESPONSE_NORMALIZATION": "batch normalization before export",
}
"""Operator -> what to write in its place."""
