"""Chapters executed two at a time, each by a process of its own; one that prints times has the machine to itself.

As a program, one such process: `kernels.py SOURCE TARGET FAILED PARAMETERS`. It prints how far it is to stdout and
ends when its stdin does, so that no kernel outlives the build, however that ends.
"""

import asyncio
import contextlib
import json
import logging
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import chapters

AT_ONCE = 2  # most of a chapter is single-threaded: imports, figures, twin runs


@dataclass
class Job:
    """A chapter to execute: from, to, and whether nothing else may run meanwhile."""

    source: pathlib.Path
    target: pathlib.Path
    alone: bool
    cells: str = "starting"  # then "3/17"

    @property
    def name(self) -> str:
        return self.source.stem


def execute(
    jobs: list[Job],
    parameters: dict,
    failed: pathlib.Path,
    say: Callable[[str], None],
    show: Callable[[str], None],
) -> None:
    """Execute every job, those that share the machine first; `say` a line per chapter, `show` what is under way.

    Raises ChapterFailed for the first chapter that fails; the others under way are ended, the finished ones are kept.
    """
    try:
        asyncio.run(_execute(jobs, parameters, failed, say, show))
    except* (chapters.ChapterFailed, OSError) as group:
        raise group.exceptions[0] from None


async def _execute(jobs: list[Job], parameters: dict, failed: pathlib.Path, say: Callable, show: Callable) -> None:
    running: dict[str, tuple[Job, float]] = {}
    starting, done = asyncio.Lock(), 0

    async def run(job: Job, gate: asyncio.Semaphore) -> None:
        nonlocal done
        async with gate:
            start = time.monotonic()
            running[job.name] = job, start
            show("")
            say(f"{job.name}: executing")
            try:
                await _in_process(job, parameters, failed, starting)
            finally:
                del running[job.name]
            done += 1
            show("")
            say(f"{job.name}: {time.monotonic() - start:.1f} s")

    async def status() -> None:
        while True:
            now, bar = time.monotonic(), "#" * round(14 * done / len(jobs))
            under_way = "  ".join(f"{job.name[:2]}: cell {job.cells}, {now - t:.0f} s" for job, t in running.values())
            show(f"|{bar:<14}| {done}/{len(jobs)} chapters  {under_way}")
            await asyncio.sleep(0.5)

    display = asyncio.create_task(status())
    try:
        for alone in (False, True):
            gate = asyncio.Semaphore(1 if alone else AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    if job.alone == alone:
                        group.create_task(run(job, gate))
    finally:
        display.cancel()
        show("")


async def _in_process(job: Job, parameters: dict, failed: pathlib.Path, starting: asyncio.Lock) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with starting:  # two kernels that start at the same moment may choose the same port
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                __file__,
                *(str(path) for path in (job.source, job.target, failed)),
                json.dumps(parameters),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the build, which then ends this process by closing its stdin
            )
            stack.push_async_callback(_ended, process)
            errors = asyncio.create_task(process.stderr.read())
            await process.stdout.readline()  # no cell yet
            job.cells = (await process.stdout.readline()).decode().strip()  # one: the kernel has its ports
        async for line in process.stdout:
            job.cells = line.decode().strip()
    if process.returncode:
        message = (await errors).decode(errors="replace").strip() or f"its process ended with code {process.returncode}"
        raise chapters.ChapterFailed(message if job.name in message else f"{job.name}: {message}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    process.stdin.close()
    await process.wait()


def _end_with_stdin() -> None:
    os.read(0, 1)  # returns at its end, as nothing is written to it
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)


def _keep_streams() -> None:
    """Take stdout and stderr for this process alone: a kernel inherits descriptors 1 and 2, now of os.devnull."""
    sys.stdout, sys.stderr = (open(os.dup(fd), "w", encoding="utf-8", errors="replace") for fd in (1, 2))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def main() -> None:
    source, target, failed = (pathlib.Path(argument) for argument in sys.argv[1:4])
    _keep_streams()
    logging.disable()  # what papermill logs of a failure would come before our message
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        chapters.execute(source, target, json.loads(sys.argv[4]), failed, lambda cells: print(cells, flush=True))
    except chapters.ChapterFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
