# SPDX-License-Identifier: Apache-2.0
"""Cores and boards, one TOML file each."""
