"""What every measure asks of embeddings and of who owns what, checked once."""

import numpy as np
import torch
from numpy.typing import ArrayLike

Embeddings = ArrayLike | torch.Tensor


def embeddings(values: Embeddings, name: str, axes: str) -> np.ndarray:
    """Embeddings as a finite, non-empty numpy array with the axes named, as in "N K d": float64,
    else float32.

    Takes arrays and tensors of any floating dtype and device. Raises ValueError.
    """
    if isinstance(values, torch.Tensor):
        kept = torch.promote_types(values.dtype, torch.float32)  # numpy has no bfloat16
        values = values.detach().cpu().to(kept)
    values = np.asarray(values)
    values = values.astype(np.promote_types(values.dtype, np.float32))
    if values.ndim != len(axes.split()) or 0 in values.shape:
        raise ValueError(f"{name} must be a non-empty [{axes}] array, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has NaN or infinity: did training diverge?")
    return values


def indices(values: Embeddings, name: str, items: int, among: int) -> np.ndarray:
    """As many integers as there are items, each 0 ... among - 1. Raises ValueError for others."""
    values = np.asarray(values)
    whole = values.dtype.kind in "iu" and values.shape == (items,)
    if not whole or not np.isin(values, range(among)).all():
        raise ValueError(f"{name} must be {items} integers from 0 to {among - 1}")
    return values


def caption_counts(owner: np.ndarray, clips: int = 0) -> np.ndarray:
    """How many captions each of so many clips, or more, has. Raises ValueError for a clip without
    one.
    """
    counts = np.bincount(owner, minlength=clips)
    if not counts.all():
        raise ValueError(f"clip {counts.argmin()} has no caption: every clip needs one")
    return counts
