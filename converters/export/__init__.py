# SPDX-License-Identifier: Apache-2.0
"""Integer models as files of other tools: what each operator becomes there, and the files' bytes."""
