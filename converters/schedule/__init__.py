# SPDX-License-Identifier: Apache-2.0
"""Schedules: which primitive runs which layers."""
