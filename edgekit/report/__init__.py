# SPDX-License-Identifier: Apache-2.0
"""Pictures and pages that show what a converted model needs, and where."""
