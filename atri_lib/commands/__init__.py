"""The commands of `python -m atri_lib`, by name.

A module here imports what it needs when a command runs, so that help and the doctor start at once.
"""

from atri_lib.commands import data, doctor, search, training

COMMANDS = {
    command.name: command
    for command in (
        data.SCENES,
        training.FEATURES,
        training.TRAIN,
        training.EVALUATE,
        training.COMPARE,
        search.SEARCH,
        data.TRANSLATE,
        doctor.DOCTOR,
    )
}
