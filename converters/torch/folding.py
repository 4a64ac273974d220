# SPDX-License-Identifier: Apache-2.0
"""Which ATen operators are computed at import where all their inputs are constants.

The list names pure functions. Purity cannot be read off a schema: random operators and those that
open files are not marked as mutable, and a .pt2 file may name any operator.
"""

from __future__ import annotations

ARITHMETIC = frozenset(
    {
        *("add", "sub", "rsub", "mul", "div", "true_divide", "floor_divide", "remainder", "fmod"),
        *("neg", "abs", "sign", "sgn", "square", "pow", "float_power", "sqrt", "rsqrt"),
        *("reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos"),
        *("tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "erf", "sinc", "hypot"),
        *("floor", "ceil", "round", "trunc", "frac", "clamp", "clamp_min", "clamp_max", "maximum"),
        *("minimum", "fmax", "fmin", "lerp", "addcmul", "addcdiv", "nan_to_num", "logaddexp"),
    }
)
ACTIVATIONS = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "sigmoid"),
        *("log_sigmoid", "softplus", "hardtanh", "hardsigmoid", "hardswish", "prelu", "threshold"),
        *("softmax", "_softmax", "log_softmax", "_log_softmax", "softshrink", "hardshrink"),
    }
)
LOGIC = frozenset(
    {
        *("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "logical_and"),
        *("logical_or", "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not"),
        *("bitwise_xor", "__and__", "__or__", "__lshift__", "__rshift__", "where", "masked_fill"),
    }
)
REDUCTIONS = frozenset(
    {
        *("mean", "sum", "prod", "amax", "amin", "aminmax", "max", "min", "argmax", "argmin"),
        *("any", "all", "var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm"),
        *("linalg_matrix_norm", "logsumexp", "cumsum", "cumprod", "median", "sort", "argsort"),
        *("topk", "trace"),
    }
)
PRODUCTS = frozenset(
    {
        *("mm", "bmm", "mv", "dot", "vdot", "matmul", "addmm", "addmv", "baddbmm", "linear"),
        *(
            "einsum",
            "outer",
            "inner",
            "ger",
            "kron",
            "tensordot",
            "linalg_multi_dot",
            "linalg_matmul",
        ),
        *("bilinear", "_trilinear", "conv1d", "conv2d", "convolution", "conv_transpose2d"),
        *("linalg_qr", "linalg_inv", "linalg_inv_ex", "linalg_solve", "_linalg_solve_ex"),
        *("linalg_matrix_exp", "matrix_exp", "linalg_householder_product", "linalg_cross"),
    }
)
NORMALIZATIONS = frozenset(
    {
        *("_weight_norm", "_weight_norm_interface", "batch_norm", "layer_norm", "group_norm"),
        *("instance_norm", "rms_norm", "_native_batch_norm_legit", "native_layer_norm"),
        *("_native_batch_norm_legit_no_training", "native_group_norm", "_fused_rms_norm"),
    }
)
RESAMPLING = frozenset(
    {
        *("upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact2d"),
        *("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d"),
        *("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "avg_pool2d", "max_pool2d"),
        *(
            "_adaptive_avg_pool2d",
            "adaptive_avg_pool2d",
            "grid_sampler_2d",
            "affine_grid_generator",
        ),
        *("pixel_shuffle", "pixel_unshuffle", "im2col", "col2im"),
    }
)
CREATION = frozenset(
    {
        *("full", "full_like", "ones", "ones_like", "zeros", "zeros_like", "new_full", "new_ones"),
        *("new_zeros", "arange", "linspace", "logspace", "eye", "scalar_tensor", "tril_indices"),
        *("triu_indices", "hann_window", "hamming_window", "blackman_window"),
    }
)
SHAPES = frozenset(
    {
        *("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"),
        *("view_as", "reshape_as", "expand", "expand_as", "repeat", "tile", "repeat_interleave"),
        *("permute", "transpose", "t", "movedim", "moveaxis", "swapaxes", "numpy_T", "mT"),
        *("slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "unfold"),
        *("cat", "concat", "stack", "hstack", "vstack", "meshgrid", "broadcast_tensors"),
        *("flip", "fliplr", "flipud", "rot90", "roll", "tril", "triu", "diag", "diagonal"),
        *("diag_embed", "index", "index_select", "gather", "take", "take_along_dim", "scatter"),
        *("scatter_add", "slice_scatter", "select_scatter", "index_put", "index_add", "embedding"),
        *("pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d", "one_hot"),
        *("clone", "contiguous", "alias", "detach", "lift_fresh_copy", "to", "_to_copy", "type_as"),
    }
)

FOLDABLE = (
    (ARITHMETIC | ACTIVATIONS | LOGIC | REDUCTIONS | PRODUCTS)
    | (NORMALIZATIONS | RESAMPLING | CREATION | SHAPES)
)  # fmt: skip
"""Names without namespace and overload."""
