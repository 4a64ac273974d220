# SPDX-License-Identifier: Apache-2.0
"""The parts of the TFLite importer: records of the file, its boundary, one mapping per operator."""
