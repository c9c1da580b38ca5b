"""`doctor`: what this machine can run."""

from argparse import Namespace

from atri_lib.commands.base import command, say
from atri_lib.terminal import one_line


@command("")
def doctor(options: Namespace) -> None:
    """What this machine can run, what is missing, and the command that fixes it."""
    from atri_lib.doctor import examine

    findings = examine()
    lines = []
    for finding in findings:
        state = "ok     " if finding.ok else "missing"
        lines.append(f"{state} {one_line(finding.what)}: {one_line(finding.detail)}")
        if not finding.ok:
            lines.append(f"        fix: {one_line(finding.fix)}")
    say(options, {"findings": [vars(finding) for finding in findings]}, "\n".join(lines))
