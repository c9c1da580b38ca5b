"""What every encoder of sounds asks of the waveforms it hears."""

from torch import Tensor, nn


def at_least(samples: int, waveform: Tensor) -> Tensor:
    """Waveforms [N, S], filled up with silence to a number of samples.

    Raises ValueError for another shape, no samples, integers.
    """
    clips = waveform.ndim == 2 and waveform.shape[1] > 0
    if not clips or not waveform.is_floating_point():
        raise ValueError(
            f"waveform is {waveform.dtype} of shape {list(waveform.shape)}: "
            "expected [clips, samples] with samples > 0, floating point from -1 to 1"
        )
    missing = max(0, samples - waveform.shape[1])
    return nn.functional.pad(waveform, (0, missing))
