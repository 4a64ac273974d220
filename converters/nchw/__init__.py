# SPDX-License-Identifier: Apache-2.0
"""What importers of channels-first models (PyTorch, ONNX) share: the NHWC graph that they build."""
