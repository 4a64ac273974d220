# SPDX-License-Identifier: Apache-2.0
"""Dead channels of integer models: which are constant or unread, and the model without them."""
