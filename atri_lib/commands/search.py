"""`search`: sounds (or pictures) for a text, captions for a sound; one query, a file of them, or
typed.
"""

import argparse
import pathlib
import sys
from collections.abc import Iterator

from atri_lib.commands.base import (
    DONE,
    SOME_FAILED,
    Command,
    UsageError,
    captions_of,
    check_text,
    decoded,
    path,
    say,
    whole,
)
from atri_lib.languages import CODES
from atri_lib.terminal import notice, one_line

ASSUMED = "eng"  # the language of a text when none is given
TYPED = pathlib.Path("-")  # as --queries: standard input
LONGEST_LINE = 2**16  # bytes of a typed query


def _search_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        type=path,
        dest="run_folder",
        metavar="RUN",
        required=True,
        help="folder of a finished run",
    )
    parser.add_argument(
        "-k", type=whole, default=5, metavar="N", help="how many results (%(default)s)"
    )

    asked = parser.add_argument_group("what to ask: a text, a file of texts, or a sound")
    asked.add_argument("query", nargs="?", help="text in any of the eight languages")
    asked.add_argument(
        "--queries",
        type=path,
        metavar="FILE",
        help="text file with one query on each line; - or nothing at a terminal: type them, and "
        "the model is loaded once (with --json: one line per query)",
    )
    asked.add_argument(
        "--audio",
        type=path,
        metavar="FILE",
        help="search with this sound (or picture, where the run is of those) instead of a text",
    )
    asked.add_argument(
        "--language",
        choices=CODES,
        metavar="CODE",
        help=f"language of the texts: {', '.join(CODES)} (default: {ASSUMED})",
    )

    places = parser.add_argument_group("where to search")
    places.add_argument(
        "--folder", type=path, metavar="FOLDER", help="audio or image files, with subfolders"
    )
    places.add_argument(
        "--strict", action="store_true", help="refuse a --folder in which a file cannot be read"
    )
    places.add_argument(
        "--index",
        type=path,
        metavar="FILE",
        help="with --folder: write what was embedded here; without: search in it",
    )
    places.add_argument(
        "--captions",
        type=path,
        metavar="FILE",
        help="text file with one caption on each line, searched with --audio",
    )


def _search(options: argparse.Namespace) -> int:
    _check_usage(options)
    queries = _queries(options)
    captions = captions_of(options.captions) if options.captions else None
    if options.folder:
        _check_folder(options.folder)

    from atri_lib.search import Index, Searcher
    from atri_lib.training import Run

    index = None
    if options.index and (not options.folder or options.index.exists()):
        index = Index.load(options.index)  # before any work: another file is not written over
    run = Run.load(options.run_folder)
    if index and not options.folder:
        index.check_weights(run, options.index)
    searcher = Searcher(run)
    broken = []
    if captions is not None:
        _settle_language(options, searcher, captions[:1])
        index = _index_of_captions(searcher, captions, options)
    elif options.folder:
        index, broken = _index_of_folder(searcher, options)
    code = SOME_FAILED if broken else DONE
    if options.audio:
        _answer_sound(options, searcher, index, broken)
    elif queries is None:
        code = max(code, _answer_typed(options, searcher, index))
    else:
        _answer_texts(options, searcher, index, queries, broken)
    return code


def _check_usage(options: argparse.Namespace) -> None:
    """Refuse what does not go together, and options that would be ignored."""
    asked = [options.query is not None, bool(options.queries), bool(options.audio)].count(True)
    if not asked and sys.stdin.isatty():
        options.queries = TYPED
        asked = 1
    if asked != 1:
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


def _check_folder(folder: pathlib.Path) -> None:
    from atri_lib.search import SearchError

    if folder.exists() and not folder.is_dir():
        fix = "give the folder that holds it, or --audio FILE to search with a sound"
        raise SearchError(f"--folder {folder}: this is a file; {fix}")
    if not folder.is_dir():
        raise SearchError(f"{folder}: no such folder")


def _queries(options: argparse.Namespace) -> list[str] | None:
    """The texts to search with, checked; none when a sound is given, or they will be typed."""
    if options.query is not None:
        from atri_lib.search import check_query

        check_query(options.query)
        return [options.query]
    if options.queries is None or options.queries == TYPED:
        return None
    queries = captions_of(options.queries)
    if not queries:
        raise ValueError(f"{options.queries}: no queries; write one on each line")
    return queries


def _index_of_captions(searcher, captions: list[str], options: argparse.Namespace):
    from atri_lib.search import SearchError, index_sentences

    if not captions:
        raise SearchError(f"{options.captions}: no captions; write one caption on each line")
    return index_sentences(searcher, captions, options.language)


def _index_of_folder(searcher, options: argparse.Namespace) -> tuple:
    """The index of --folder, kept where --index says, and its files that could not be read."""
    from atri_lib.search import index_folder

    index, broken = index_folder(searcher, options.folder, strict=options.strict)
    if options.index:
        index.save(options.index)
    if broken:
        count = len(index.names) + len(broken)
        notice(f"{len(broken)} of {count} files cannot be read and are not searched:")
        for file in broken:
            print(f"  {one_line(file)}", file=sys.stderr)
    return index, broken


def _settle_language(options: argparse.Namespace, searcher, texts: list[str]) -> None:
    """Assume a language where none was given, and say so where the text encoder reads it."""
    if options.language is None:
        options.language = ASSUMED
        if texts and searcher.reads_language(texts[0]):
            notice(
                "this text encoder reads a text in the language it is said to be in, and none was "
                f"given: {ASSUMED} is assumed; --language CODE names another"
            )


def _answer_sound(options: argparse.Namespace, searcher, index, broken: list[str]) -> None:
    vector = searcher.embed_clip(searcher.read(options.audio))
    found = {"results": _nearest(index, vector, options.k)}
    if broken:
        found["unreadable"] = broken
    _answer(options, found)


def _answer_texts(
    options: argparse.Namespace, searcher, index, queries: list[str], broken: list[str]
) -> None:
    """Answer the text of the command line, or those of a file, each below itself."""
    _settle_language(options, searcher, queries)
    vectors = searcher.embed_texts(queries, options.language)
    for query, vector in zip(queries, vectors, strict=True):
        found = {"query": query} if options.queries else {}
        found["language"] = options.language
        found["results"] = _nearest(index, vector, options.k)
        if broken and not options.queries:
            found["unreadable"] = broken
        _answer(options, found)


def _answer_typed(options: argparse.Namespace, searcher, index) -> int:
    """Answer each line of standard input as it comes; a line that is no query is named."""
    code = DONE
    for number, line in _typed():
        place = f"query {number}"
        try:
            query = decoded(line, place).strip()
            if not query:
                continue
            check_text(query, place)
            _settle_language(options, searcher, [query])
            vector = searcher.embed_texts([query], options.language)[0]
        except ValueError as error:
            print(one_line(error), file=sys.stderr)
            code = SOME_FAILED
            continue
        found = {"query": query, "language": options.language}
        _answer(options, found | {"results": _nearest(index, vector, options.k)})
        sys.stdout.flush()
    return code


def _typed() -> Iterator[tuple[int, bytes]]:
    """The lines of standard input as they come; at a terminal it is asked for each."""
    asks = sys.stdin.isatty()
    number = 0
    if asks:
        print("Type a query and Enter; Ctrl-D ends.", file=sys.stderr)
    while True:
        if asks:
            print("query: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline(LONGEST_LINE)
        number += 1
        if not line:
            if asks:
                print(file=sys.stderr)
            return
        if len(line) == LONGEST_LINE:
            raise ValueError(f"query {number} has more than {LONGEST_LINE} bytes: no query has")
        yield number, line


def _nearest(index, vector, k: int) -> list[dict]:
    found = index.nearest(vector, k)
    return [{"name": name, "similarity": round(similarity, 4)} for name, similarity in found]


def _answer(options: argparse.Namespace, found: dict) -> None:
    """Print the results of one query: below the query where there are several."""
    lines = []
    indent = ""
    if "query" in found:
        lines.append(f"{one_line(found['query'])}:")
        indent = "  "
    for entry in found["results"]:
        lines.append(f"{indent}{one_line(entry['name'])}  {entry['similarity']}")
    say(options, found, "\n".join(lines))


SEARCH = Command(
    name="search",
    summary="Find the sounds of a folder for a text, or the captions for a sound.",
    example="--run RUN --folder sounds 'un chien aboie' --language fra",
    add_options=_search_options,
    run=_search,
)
