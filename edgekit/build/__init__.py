# SPDX-License-Identifier: Apache-2.0
"""Generated C becomes a library of this machine or a program for a core."""
