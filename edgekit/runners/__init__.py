# SPDX-License-Identifier: Apache-2.0
"""Ways to run a converted model, one file each."""
