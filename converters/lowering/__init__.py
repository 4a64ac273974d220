# SPDX-License-Identifier: Apache-2.0
"""From a plan to steps over buffers: storage, the order of rows, and what may lie over what."""
