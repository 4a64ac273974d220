# SPDX-License-Identifier: Apache-2.0
"""Mutated model files through the whole conversion; `make fuzz` runs it."""
