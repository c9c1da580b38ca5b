"""The processes of one launch: where this one runs, and what they agree on."""

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env


def processes() -> PartialState:
    """The processes of this launch and this one's place and device among them; ACCELERATE_USE_CPU
    keeps off the GPU.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def agreed(value: int) -> int:
    """What the first process says, in every process of the launch; a number, or yes and no."""
    said = [value]
    if processes().num_processes > 1:
        broadcast_object_list(said)
    return said[0]
