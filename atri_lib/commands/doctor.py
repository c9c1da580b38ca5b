"""`doctor`: what this machine can run."""

import argparse

from atri_lib.commands.base import DONE, Command, say
from atri_lib.terminal import one_line


def _no_options(parser: argparse.ArgumentParser) -> None:
    pass


def _doctor(options: argparse.Namespace) -> int:
    from atri_lib.doctor import examine

    findings = examine()
    lines = []
    for finding in findings:
        state = "ok     " if finding.ok else "missing"
        lines.append(f"{state} {one_line(finding.what)}: {one_line(finding.detail)}")
        if not finding.ok:
            lines.append(f"        fix: {one_line(finding.fix)}")
    say(options, {"findings": [vars(finding) for finding in findings]}, "\n".join(lines))
    return DONE


DOCTOR = Command(
    name="doctor",
    summary="What this machine can run, what is missing, and the command that fixes it.",
    example="",
    add_options=_no_options,
    run=_doctor,
)
