# SPDX-License-Identifier: Apache-2.0
"""Float models become integer models: ranges from samples, then scales and multipliers."""
