"""The processes of one launch: where this one runs, and what they agree on."""

from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env

T = TypeVar("T")


def processes() -> PartialState:
    """The processes of this launch and this one's place and device among them; ACCELERATE_USE_CPU
    keeps off the GPU.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def agreed(value: T) -> T:
    """What the first process says, in every process of the launch."""
    if processes().num_processes == 1:
        return value
    said = [value]
    broadcast_object_list(said)
    return said[0]
