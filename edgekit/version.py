# SPDX-License-Identifier: Apache-2.0
"""The version of edgekit."""

VERSION = "0.1.0"
