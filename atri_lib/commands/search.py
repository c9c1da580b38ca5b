"""`search`: sounds (or pictures) for a text or a sound, or captions for them; one query, a file of
them, or typed.
"""

import pathlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from atri_lib.commands.base import AS_TEXTS, SOME_FAILED, UsageError, option, say, texts_of
from atri_lib.languages import CODES
from atri_lib.terminal import notice, one_line

ASSUMED = "eng"  # the language of a text when none is given
TYPED = pathlib.Path("-")  # as --queries: standard input
LONGEST_LINE = 2**16  # characters of a typed query


def search_options(parser: ArgumentParser) -> None:
    option(parser, "--run RUN", "folder of a finished run", required=True)
    option(parser, "-k N", "how many results (%(default)s)", default=5)
    asked = parser.add_mutually_exclusive_group(required=True)
    option(asked, "query", "what to ask: a text in any of the eight languages", nargs="?")
    about = "or a text file with one query on each line; - to type them, after the model is loaded"
    option(asked, "--queries FILE", about)
    option(asked, "--audio FILE", "or a sound (a picture, where the run is of those)")
    about = f"of the texts: {', '.join(CODES)} (default: {ASSUMED})"
    option(parser, "--language CODE", about, choices=CODES)
    searched = parser.add_mutually_exclusive_group()
    about = "where to search: audio or image files, with subfolders"
    option(searched, "--folder FOLDER", about)
    option(searched, "--captions FILE", "or a text file with one caption on each line")
    about = "or this file; with --folder or --captions: what was embedded is written here"
    option(parser, "--index FILE", about)
    about = "refuse a --folder in which a file cannot be read"
    option(parser, "--strict", about, action="store_true")


def search(options: Namespace) -> int | None:
    """Find the sounds of a folder for a text, or the captions for a sound.

    Example: python -m atri_lib search --run RUN --folder sounds 'un chien aboie' --language fra
    """
    from atri_lib.search import Index, Searcher, SearchError, check_query, index_folder
    from atri_lib.training import Run

    new = options.folder or options.captions
    unreadable: list[str] = []
    captions = []
    # What is wrong in texts and files is refused before a model is loaded.
    if options.strict and not options.folder:
        raise UsageError("--strict is about the files of --folder: give one, or leave it out")
    if options.language and options.audio and not options.captions:
        raise UsageError("--language is that of texts, and a sound has none: leave it out")
    if options.index and (not new or options.index.exists()):
        if options.captions:
            fix = "name a new file, or search in this one without --captions"
            raise SearchError(f"{options.index} is there already: {fix}")
        index = Index.load(options.index)
    elif not new:
        raise UsageError("say where to search: --folder, --captions or --index")
    if options.captions:
        captions = texts_of(options.captions)
    queries = [options.query]
    if options.query:
        check_query(options.query)
    elif options.queries and options.queries != TYPED:
        queries = texts_of(options.queries)

    searcher = Searcher(Run.load(options.run))
    language = options.language or ASSUMED
    has_texts = captions or not options.audio
    if has_texts and not options.language and searcher.reads_language:
        notice(f"texts are read as {ASSUMED}; --language CODE names another language")
    if options.folder:
        index, broken = index_folder(searcher, options.folder, strict=options.strict)
        unreadable += broken
    elif captions:
        vectors = searcher.embed_texts(captions, language)
        index = Index(tuple(captions), vectors, searcher.weights)
    elif index.weights != searcher.weights:
        message = f"{options.index} was built with other weights than those of {options.run}"
        raise SearchError(f"{message}: build it again with --folder FOLDER --index FILE")
    for file in unreadable:
        notice(f"not searched: {file}")
    if new and options.index:
        index.save(options.index)

    if options.audio:
        asked = [(options.audio, searcher.embed_clip(searcher.read(options.audio)))]
    elif options.queries == TYPED:
        typed = _typed(unreadable)
        asked = ((query, searcher.embed_texts([query], language)[0]) for query in typed)
    else:
        asked = zip(queries, searcher.embed_texts(queries, language), strict=True)
    for query, vector in asked:
        results = []
        lines = [f"{one_line(query)}:"]
        for name, similarity in index.nearest(vector, options.k):
            results.append({"name": name, "similarity": round(similarity, 4)})
            lines.append(f"  {one_line(name)}  {similarity:.4f}")
        say(options, {"query": str(query), "results": results}, "\n".join(lines))
    return SOME_FAILED if unreadable else None


def _typed(unreadable: list[str]) -> Iterator[str]:
    """The texts on standard input as they come; what is none is said, and added to those
    unreadable. Raises SearchError for a line that is too long to be read.
    """
    from atri_lib.search import SearchError, check_query

    if sys.stdin.isatty():
        notice("type a query on each line; Ctrl-D ends")
    sys.stdin.reconfigure(**AS_TEXTS)
    while line := sys.stdin.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise SearchError(f"a query of {LONGEST_LINE} characters or more: shorten it")
        text = line.strip()
        try:
            if text:
                check_query(text)
                yield text
        except SearchError as error:
            notice(str(error))
            unreadable.append(text)
