"""What every measure asks of its input, checked once, in words that say what to do."""

import numpy as np
import torch
from numpy.typing import ArrayLike


def embeddings(values: ArrayLike | torch.Tensor, name: str, axes: str) -> np.ndarray:
    """Embeddings as a finite, non-empty numpy array with the axes named, as in "N K d": float64,
    else float32.

    Takes arrays and tensors of any floating dtype and device. Raises ValueError naming the first
    row that is NaN.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values if values.dtype == torch.float64 else values.float()).numpy()
    values = np.asarray(values)
    values = values if values.dtype == np.float64 else values.astype(np.float32)
    if values.ndim != len(axes.split()) or 0 in values.shape:
        shape = axes.replace(" ", ", ")
        raise ValueError(f"{name} must be a non-empty [{shape}] array, got shape {values.shape}")
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise ValueError(
            f"{name} has NaN or infinity, first in row {row} of {len(values)}: "
            "did training diverge?"
        )
    return values


def indices(
    values: ArrayLike | torch.Tensor, name: str, count: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Integers 0 ... count - 1 of the shape given, as int64. Raises ValueError naming the first
    that is not.
    """
    values = np.asarray(values.cpu() if isinstance(values, torch.Tensor) else values)
    if values.shape != shape or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"{name} must be integers of shape {shape}, got {values.dtype} of shape {values.shape}"
        )
    outside = (values < 0) | (values >= count)
    if outside.any():
        raise ValueError(
            f"{name} holds {values[outside][0]}, expected indices from 0 to {count - 1}"
        )
    return values.astype(np.int64)
