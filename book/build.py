"""Build the book: `build.py book` (data, training, chapters, site), `build.py prepare`, `build.py refresh [NAME ...]`.

Everything is keyed by content: what did not change is not done again, and a build that was killed goes on where it was.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Iterator

import chapters
import checks
import kernels
import pages

from atri_lib.storage import checksum, write_json, write_text

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
HTML = BUILD / "html"
# Kernels draw no bars: a page shows results, not how long they took to come.
QUIET = {"ATRI_PROGRESS": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "TOKENIZERS_PARALLELISM": "false"}
KEPT = 3  # executed versions kept of each chapter, so that switching between two profiles executes nothing


class Steps:
    """Numbered steps with the time since the start."""

    def __init__(self, total: int):
        self.total, self.number, self.start = total, 0, time.monotonic()

    def next(self, title: str) -> None:
        self.number += 1
        print(f"[{self.number}/{self.total}  {self.elapsed()}] {title}", flush=True)

    def elapsed(self) -> str:
        minutes, seconds = divmod(round(time.monotonic() - self.start), 60)
        return f"{minutes}:{seconds:02d}"


def say(text: str) -> None:
    print(f"    {text}", flush=True)


def show(text: str) -> None:
    """A status line that the next one overwrites; nothing where the output is no terminal."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K    {text[: shutil.get_terminal_size().columns - 5]}", end="", flush=True)


@contextlib.contextmanager
def locked(name: str, what: str) -> Iterator[None]:
    """Hold _build/NAME while the block runs. Exits with a message when another process holds it."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / name, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SystemExit(
                f"{what} is running already (process {lock.read() or '?'}): wait for it or stop it."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def prepare(profile: str) -> str:
    """Have data, features and training runs of a profile in the cache; returns the checksum of the data they are of."""
    from atri_lib.training import prepare_book_runs  # imports torch: only when something is to be built

    try:
        return prepare_book_runs(profile)
    except RuntimeError as error:
        raise SystemExit(f"\nThe data or a training run could not be had: {error}") from error


def sounds_table() -> str:
    """A Markdown table of every sound in the scenes: name, file or generator, licence."""
    from atri_lib.data.banks import default_bank

    rows = [f"| {sound.names['eng']} | `{sound.source}` | {sound.licence} |" for sound in default_bank().sounds]
    return "\n".join(["| Sound | Source | Licence |", "|---|---|---|", *sorted(rows)])


def sounds_at_hand() -> list | None:
    """Path, size and time of every file of the recordings, fetched if need be; None where they cannot be had."""
    from atri_lib.data.sounds import SoundsUnavailable
    from atri_lib.data.stamps import find_stamps

    try:
        folder = find_stamps()
    except SoundsUnavailable:
        return None
    files = sorted((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in files]


def planned(names: list[str], profile: str, data: str, environment: str) -> dict[str, tuple[str, kernels.Job]]:
    """Key of every chapter and the job that puts it into _build/executed, by name."""
    result = {}
    for name in names:
        source = ROOT / "notebooks" / f"{name}.ipynb"
        notebook = chapters.read(source)
        key = chapters.chapter_key(notebook, parameters_of(profile), environment, data)
        target = BUILD / "executed" / f"{name}-{key}.ipynb"
        result[name] = key, kernels.Job(source, target, chapters.measures_time(notebook))
    return result


def parameters_of(profile: str) -> dict:
    return {} if profile == "book" else {"profile": profile}


def data_and_plan(names: list[str], profile: str) -> tuple[str, dict]:
    """Checksum of the data and the plan; data and runs are looked at only when there is a chapter to execute."""
    environment, memory = chapters.environment_key(ROOT), BUILD / "data.json"
    sounds = sounds_at_hand()
    key = checksum(environment, sounds)
    known = json.loads(memory.read_text()) if memory.exists() else {}
    if sounds and known.get(profile, {}).get("key") == key:
        data = known[profile]["data"]
        plan = planned(names, profile, data, environment)
        if all(job.target.exists() for _, job in plan.values()):
            say("unchanged, and no chapter needs them")
            return data, plan
    data = prepare(profile)
    write_json(memory, known | {profile: {"key": key, "data": data}})
    return data, planned(names, profile, data, environment)


def execute_missing(plan: dict[str, tuple[str, kernels.Job]], profile: str) -> None:
    """Execute what is not in _build/executed yet, and forget all but a few versions of each chapter."""
    os.environ.update(QUIET, ATRI_PLAYERS="1")
    folder = BUILD / "executed"
    for leftover in folder.glob(".*"):  # of a build that was killed: we hold the lock, nobody writes there
        shutil.rmtree(leftover, ignore_errors=True)
    jobs = [job for _, job in plan.values()]
    missing = [job for job in jobs if not job.target.exists()]
    if len(missing) < len(jobs):
        say(f"{len(jobs) - len(missing)} unchanged")
    kernels.execute(missing, parameters_of(profile), BUILD / "failed", say, show)
    for name, (_, job) in plan.items():
        os.utime(job.target)
        versions = sorted(folder.glob(f"{name}-*.ipynb"), key=lambda path: path.stat().st_mtime)
        for old in versions[:-KEPT]:
            old.unlink()


def build_book(profile: str) -> None:
    """Data, training, chapters, site; each only as far as something changed."""
    steps = Steps(4)
    pages.recover(HTML)
    toc = pages.load_toc(ROOT)
    names = [page.removeprefix("notebooks/") for page in toc if page.startswith("notebooks/")]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if path.stem not in names:
            say(f"note: notebooks/{path.name} is not in _toc.yml and stays out of the book")

    steps.next("Recordings, features and training runs")
    data, plan = data_and_plan(names, profile)

    steps.next(f"Chapters: {len(names)}, profile {profile}")
    execute_missing(plan, profile)

    steps.next("Site")
    sources = [
        path for path in sorted((ROOT / "book").rglob("*")) if path.is_file() and "__pycache__" not in path.parts
    ]
    sources += [ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "requirements.txt"]
    library = sorted((ROOT / "atri_lib").rglob("*.py"))
    key = checksum(profile, data, [k for k, _ in plan.values()], *[path.read_bytes() for path in sources + library])
    if pages.published_key(HTML) == key:
        say("up to date")
    else:
        notebooks = {name: chapters.read(job.target) for name, (_, job) in plan.items()}
        tables = {
            "status": lambda: pages.status_table(notebooks),
            "profile": lambda: profile,
            "api": lambda: pages.api_sections(ROOT),
            "sounds": sounds_table,
        }
        pages.stage(ROOT, BUILD / "stage", notebooks, tables)
        pages.build_html(BUILD / "stage", BUILD / "new", BUILD / "sphinx.log", show)
        show("")
        problems = pages.site_problems(BUILD / "new" / "_build" / "html", toc)
        if problems:
            raise pages.SiteFailed("The site is not whole:\n" + "\n".join(f"  {problem}" for problem in problems))
        pages.publish(BUILD / "new", HTML, {"key": key, "profile": profile})
        say(f"{len(toc)} pages, complete and self-contained")

    steps.next("Done: open " + (HTML / "index.html").relative_to(ROOT).as_posix())


def refresh(names: list[str]) -> None:
    """Execute committed chapters in place, cleaned; a chapter that is not fit to commit is left as it was."""
    os.environ.update(QUIET, ATRI_PLAYERS="0")
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    if unknown := set(names) - {path.stem for path in paths}:
        raise SystemExit(f"no chapter {', '.join(sorted(unknown))}: there are {', '.join(path.stem for path in paths)}")
    chosen = [path for path in paths if not names or path.stem in names]
    unfit = 0
    for path in chosen:
        with locked(f".refresh-{path.stem}", f"A refresh of {path.stem}"):
            target = BUILD / "refreshed" / path.name
            seconds = chapters.execute(path, target, {}, failed=BUILD / "failed")
            notebook = chapters.clean(chapters.read(target))
            problems = checks.problems(notebook)
            if problems:
                unfit += 1
                write_text(BUILD / "failed" / path.name, chapters.written(notebook))
                say(f"{path.stem}: {seconds:.1f} s, left as it was (see _build/failed/{path.name}):")
                for problem in problems:
                    say(f"  - {problem}")
            else:
                write_text(path, chapters.written(notebook))
                say(f"{path.stem}: {seconds:.1f} s, {path.stat().st_size // 1024} kB")
    if unfit:
        raise SystemExit(f"{unfit} of {len(chosen)} chapters are not fit to commit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("book", "prepare"):
        commands.add_parser(name).add_argument("--profile", choices=("book", "smoke", "paper"), default="book")
    commands.add_parser("refresh").add_argument("names", nargs="*")
    arguments = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments.command == "prepare":
            prepare(arguments.profile)
        elif arguments.command == "refresh":
            refresh(arguments.names)
        else:
            with locked(".lock", "Another build of this book"):
                build_book(arguments.profile)
    except KeyboardInterrupt:
        raise SystemExit("\nInterrupted. What was finished is kept: the same command goes on from there.") from None
    except (chapters.ChapterFailed, pages.SiteFailed) as error:
        raise SystemExit(f"\n{error}") from None
    except (ValueError, OSError) as error:  # a notebook with merge markers, a full disk
        raise SystemExit(
            f"\n{error}\nWhat was finished is kept: once this is mended, the same command goes on from there."
        ) from None


if __name__ == "__main__":
    main()
