# SPDX-License-Identifier: Apache-2.0
"""Turn a placed program into the files of a generated project; nothing here touches the disk."""
