"""The commands of `python -m atri_lib`: a function for each, its options in `options.json`.

A module here imports what it needs when a command runs, so that help and the doctor start at once.
"""
