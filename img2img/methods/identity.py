"""The identity loss: an image of the target domain is to stay as it is."""

from __future__ import annotations


def refuse_unequal_channels(identity_weight: float, channels_a: int, channels_b: int) -> None:
    """Refuse |G(b) - b| where G takes other channels than b has.

    Raises:
        ValueError: for an identity weight above 0 with different channel counts.
    """
    if identity_weight and channels_a != channels_b:
        raise ValueError(
            f"identity_weight {identity_weight:g} needs equal channel counts, got channels_a {channels_a} and "
            f"channels_b {channels_b}: set identity_weight to 0 or read both domains with the same channels"
        )
