# SPDX-License-Identifier: Apache-2.0
"""The stages that turn a model file into a placed program."""
