"""What every measure asks of its input, checked once, in words that say what to do."""

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


def indices(
    values: ArrayLike | torch.Tensor, name: str, count: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Integers 0 ... count - 1 of the shape given, as int64. Raises ValueError for others."""
    values = np.asarray(values)
    fits = values.shape == shape and np.issubdtype(values.dtype, np.integer)
    if not fits or values.min(initial=0) < 0 or values.max(initial=0) >= count:
        raise ValueError(
            f"{name} must be integers of shape {shape} from 0 to {count - 1}, "
            f"got {values.dtype} of shape {values.shape} from {values.min(initial=0)} "
            f"to {values.max(initial=0)}"
        )
    return values.astype(np.int64)
