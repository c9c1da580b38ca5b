"""Set up .venv from requirements.txt, once per content of the pins, with visible progress; standard library only.

Repeating it is free, and after an interruption it starts clean: a half-written environment is never used.
"""

import argparse
import fcntl
import hashlib
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NO_VENV = """Python {version} lacks the venv module.
On Debian or Ubuntu: apt-get install python3.11-venv; then run make again."""
NO_PIP = """pip stopped (exit code {code}). Nothing was lost: run make again once this is solved.
  Usual causes: no connection to the package registry (see `pip config list`), or a full disk.
  pip's last lines:
{tail}"""


def installation_key(root: pathlib.Path) -> str:
    """Hex digest of what an installation depends on: pins, project metadata, Python version and the folder itself."""
    digest = hashlib.sha256(f"{sys.version_info[:3]} {root}".encode())
    for name in ("requirements.txt", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def pinned(requirements: str) -> int:
    """How many packages a requirements file pins for this platform: lines with `==`, markers for others left out."""
    lines = [line for line in requirements.splitlines() if re.match(r"[^#;]+==", line)]
    return sum(sys.platform == "linux" or 'sys_platform == "linux"' not in line for line in lines)


class Progress:
    """One status line, redrawn each second on a terminal and printed every 15 seconds elsewhere."""

    def __init__(self, total: int, site: pathlib.Path):
        self.total, self.site, self.start, self.shown = total, site, time.monotonic(), -15.0
        self.seen: set[str] = set()
        self.phase, self.detail = "reading", ""

    def read(self, line: str) -> None:
        """Take one line of pip's output."""
        if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)(\S*)", line):
            self.seen.add(re.sub(r"[-_.]+", "-", match[1]).lower())
            self.phase, self.detail = "collecting", match[1]
        elif match := re.match(r"\s*(Downloading|Using cached) (\S+?)(?:-py|-cp|\.tar| |$).*?(\([^)]*\))?$", line):
            self.detail = f"{pathlib.Path(match[2]).name} {match[3] or ''}".strip()
        elif line.startswith("Installing collected packages"):
            self.phase, self.detail = "installing", ""

    def show(self) -> None:
        elapsed, terminal = time.monotonic() - self.start, sys.stdout.isatty()
        if not terminal and elapsed - self.shown < 15:
            return
        self.shown = elapsed
        if self.phase == "installing":
            done = len(list(self.site.glob("*.dist-info")))
        else:
            done = len(self.seen)
        done = min(done, self.total)
        bar = "#" * round(24 * done / max(self.total, 1))
        text = f"  {elapsed:4.0f} s |{bar:<24}| {done}/{self.total} {self.phase} {self.detail}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:<{width}}" if terminal else text, end="" if terminal else "\n", flush=True)

    def clear(self) -> None:
        if sys.stdout.isatty():
            print("\r\x1b[K", end="")


def run_pip(python: pathlib.Path, arguments: list[str], progress: Progress) -> None:
    """Run pip and show its progress. Raises SystemExit with its last lines when it fails."""
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--no-compile",
        *arguments,
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        close_fds=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines: queue.Queue = queue.Queue()

    def forward() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=forward, daemon=True).start()
    tail: list[str] = []
    try:
        while True:
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                progress.show()
                continue
            if line is None:
                break
            progress.read(line)
            progress.show()
            tail = [*tail, "    " + line.rstrip()][-12:]
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.wait():
        progress.clear()
        raise SystemExit(NO_PIP.format(code=process.returncode, tail="\n".join(tail)))


def empty(venv: pathlib.Path, started: pathlib.Path) -> None:
    """Make `venv` a folder that holds only the marker `started`. Raises SystemExit where it is no environment."""
    if venv.exists() and not started.exists() and not (venv / "pyvenv.cfg").exists():
        raise SystemExit(f"{venv} is no virtual environment and was left as it is: move it away, then run make again.")
    venv.mkdir(parents=True, exist_ok=True)
    started.touch()  # and there throughout: an interruption of this is found out, too
    for path in set(venv.iterdir()) - {started}:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def install(root: pathlib.Path, venv: pathlib.Path) -> None:
    """Bring `venv` to the pins of `root`; returns at once when it is there already."""
    stamp, started = venv / ".atri-installed", venv / ".atri-installing"
    python, key = venv / "bin" / "python", installation_key(root)
    if stamp.exists() and stamp.read_text() == key and python.exists():
        return
    begin = time.monotonic()
    if started.exists():
        print("The last installation was interrupted: starting it again (pip kept finished downloads).", flush=True)
        empty(venv, started)
    if not python.exists() or subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
        print(f"Creating {venv.name} with Python {sys.version.split()[0]}", flush=True)
        empty(venv, started)
        if subprocess.run([sys.executable, "-m", "venv", venv]).returncode:
            raise SystemExit(NO_VENV.format(version=sys.version.split()[0]))
    started.touch()
    stamp.unlink(missing_ok=True)
    requirements = (root / "requirements.txt").read_text()
    site = next((venv / "lib").glob("python3*")) / "site-packages"
    progress = Progress(pinned(requirements), site)
    print(f"Installing {progress.total} pinned packages into {venv.name} (several GB the first time)", flush=True)
    try:
        run_pip(python, ["-r", str(root / "requirements.txt")], progress)
        run_pip(python, ["--no-deps", "--no-build-isolation", "-e", str(root)], progress)
    except BaseException:
        if progress.phase != "installing":  # nothing was written yet: what was there before is still whole
            started.unlink()
        raise
    partial = stamp.with_suffix(".part")
    partial.write_text(key)
    os.replace(partial, stamp)
    started.unlink()
    progress.clear()
    print(f"Environment ready after {time.monotonic() - begin:.0f} s", flush=True)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(
            f"This is Python {sys.version.split()[0]}, the pins are for 3.11: make PYTHON=/path/to/python3.11"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    (ROOT / "_build").mkdir(exist_ok=True)
    with open(ROOT / "_build" / ".install.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another installation into this folder is running: waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)  # should this process be killed, the lock lasts as long as its pip
        try:
            install(ROOT, ROOT / ".venv")
        except KeyboardInterrupt:
            raise SystemExit("\nInterrupted. Run make again to continue.") from None


if __name__ == "__main__":
    main()
