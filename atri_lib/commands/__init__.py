"""The commands of `python -m atri_lib`, by name.

A module here imports what it needs when a command runs, so that help and the doctor start at once.
"""

from atri_lib.commands import data, doctor, search, training

_ALL = (
    data.scenes,
    training.features,
    training.train,
    training.evaluate,
    training.compare,
    search.search,
    data.translate,
    doctor.doctor,
)
COMMANDS = {command.name: command for command in _ALL}
