"""The commands of `python -m atri_lib`, two functions each: its options, and what it does.

A module here imports what it needs when a command runs, so that help and the doctor start at once.
"""
