# SPDX-License-Identifier: Apache-2.0
"""The C runtime: kernels, drivers and their contracts."""
