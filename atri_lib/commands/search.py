"""`search`: sounds (or pictures) for a text, captions for a sound; one query, a file of them, or
typed.
"""

import pathlib
import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterator

from atri_lib.commands.base import (
    SOME_FAILED,
    UsageError,
    command,
    group,
    option,
    path,
    say,
    text_of,
    texts_of,
    whole,
)
from atri_lib.languages import CODES
from atri_lib.terminal import notice, one_line

ASSUMED = "eng"  # the language of a text when none is given
TYPED = pathlib.Path("-")  # as --queries: standard input
LONGEST_LINE = 2**16  # bytes of a typed query


@command(
    "--run RUN --folder sounds 'un chien aboie' --language fra",
    option("--run RUN", "folder of a finished run", type=path, required=True),
    option("-k N", "how many results (%(default)s)", type=whole, default=5),
    group(
        "what to ask: a text, a file of texts, or a sound",
        option("query", "text in any of the eight languages", nargs="?"),
        option(
            "--queries FILE",
            "text file with one query on each line; - or nothing at a terminal: type them, and "
            "the model is loaded once (with --json: one line per query)",
            type=path,
        ),
        option(
            "--audio FILE",
            "search with this sound (or picture, where the run is of those) instead of a text",
            type=path,
        ),
        option(
            "--language CODE",
            f"language of the texts: {', '.join(CODES)} (default: {ASSUMED})",
            choices=CODES,
        ),
    ),
    group(
        "where to search",
        option("--folder FOLDER", "audio or image files, with subfolders", type=path),
        option("--strict", "refuse a --folder in which a file cannot be read", action="store_true"),
        option(
            "--index FILE",
            "with --folder: write what was embedded here; without: search in it",
            type=path,
        ),
        option(
            "--captions FILE",
            "text file with one caption on each line, searched with --audio",
            type=path,
        ),
    ),
)
def search(options: Namespace) -> int | None:
    """Find the sounds of a folder for a text, or the captions for a sound."""
    _check_usage(options)
    from atri_lib.search import Index, Searcher, SearchError, index_folder, index_sentences
    from atri_lib.training import Run

    if options.index and (not options.folder or options.index.exists()):
        index = Index.load(options.index)  # before any work: another file is not written over
    searcher = Searcher(Run.load(options.run))
    if options.captions or not options.audio:
        _settle_language(options, searcher)
    unreadable = []

    if options.audio:
        asked = [("", searcher.embed_clip(searcher.read(options.audio)))]
    elif options.queries == TYPED:
        asked = _typed(searcher, options.language, unreadable)
    else:
        queries = texts_of(options.queries, "queries") if options.queries else [options.query]
        asked = zip(queries, searcher.embed_texts(queries, options.language), strict=True)

    if options.captions:
        captions = texts_of(options.captions, "captions")
        index = index_sentences(searcher, captions, options.language)
    elif options.folder:
        index, broken = index_folder(searcher, options.folder, strict=options.strict)
        for file in broken:
            notice(f"not searched: {file}")
        unreadable += broken
        if options.index:
            index.save(options.index)
    elif index.weights != searcher.weights:
        message = f"{options.index} was built with other weights than those of {options.run}"
        raise SearchError(f"{message}: build it again with --folder FOLDER --index FILE")

    for query, vector in asked:
        found = {"query": query} if options.queries else {}
        if not options.audio:
            found["language"] = options.language
        nearest = index.nearest(vector, options.k)
        found["results"] = [{"name": name, "similarity": round(s, 4)} for name, s in nearest]
        if unreadable and not options.queries:
            found["unreadable"] = unreadable
        _answer(options, found)
    return SOME_FAILED if unreadable else None


def _check_usage(options: Namespace) -> None:
    """Refuse what does not go together, and options that would be ignored."""
    missing = [options.query, options.queries, options.audio].count(None)
    if missing == 3 and sys.stdin.isatty():
        options.queries = TYPED
    elif missing != 2:
        raise UsageError("ask one thing: a text, --audio FILE, or --queries FILE (- to type them)")
    if options.captions and not options.audio:
        raise UsageError("--captions are searched with a sound: give --audio FILE and no text")
    if options.captions and (options.folder or options.index):
        raise UsageError("search in --captions or in sounds (--folder, --index), not in both")
    if not (options.captions or options.folder or options.index):
        raise UsageError(
            "say where to search: --folder with sounds, --index FILE, "
            "or --captions FILE with --audio"
        )
    if options.language and options.audio and not options.captions:
        raise UsageError("--language is that of texts, and a sound has none: leave it out")
    if options.strict and not options.folder:
        raise UsageError("--strict is about the files of --folder: give a folder, or leave it out")


def _settle_language(options: Namespace, searcher) -> None:
    """Assume a language where none was given, and say so where the text encoder reads it."""
    if options.language is None:
        options.language = ASSUMED
        if searcher.reads_language("a dog barks"):
            notice(
                "this text encoder reads a text in the language it is said to be in, and none was "
                f"given: {ASSUMED} is assumed; --language CODE names another"
            )


def _typed(searcher, language: str, unreadable: list[str]) -> Iterator[tuple[str, object]]:
    """The lines of standard input as they come, with their vectors [d]; one that is no query is
    said, and added to those unreadable.
    """
    for number, line in enumerate(iter(_typed_line, b""), start=1):
        place = f"query {number}"
        if len(line) == LONGEST_LINE:
            raise ValueError(f"{place} has more than {LONGEST_LINE} bytes: no query has")
        try:
            query = text_of(line, place)
            if query:
                yield query, searcher.embed_texts([query], language)[0]
        except ValueError as error:
            print(one_line(error), file=sys.stderr)
            unreadable.append(place)
    if sys.stdin.isatty():
        print(file=sys.stderr)


def _typed_line() -> bytes:
    """The next line of standard input; at a terminal it is asked for."""
    if sys.stdin.isatty():
        print("query (Ctrl-D ends): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.buffer.readline(LONGEST_LINE)


def _answer(options: Namespace, found: dict) -> None:
    """Print the results of one query: below the query where there are several."""
    lines = [f"{one_line(entry['name'])}  {entry['similarity']}" for entry in found["results"]]
    text = "\n".join(lines)
    if "query" in found:
        text = f"{one_line(found['query'])}:\n{textwrap.indent(text, '  ')}"
    say(options, found, text)
    sys.stdout.flush()
