"""`search`: sounds (or pictures) for a text or a sound, or captions for them; one query, a file of
them, or typed.
"""

import pathlib
import sys
from argparse import Namespace
from collections.abc import Iterator

from atri_lib.commands.base import AS_TEXTS, SOME_FAILED, UsageError, say, texts_of
from atri_lib.terminal import notice, one_line

ASSUMED = "eng"  # the language of a text when none is given
TYPED = pathlib.Path("-")  # as --queries: standard input
LONGEST_LINE = 2**16  # characters of a typed query


def search(options: Namespace) -> int | None:
    """Find the sounds of a folder for a text, or the captions for a sound.

    Example: python -m atri_lib search --run RUN --folder sounds 'un chien aboie' --language fra
    """
    from atri_lib.search import Index, Searcher, SearchError, check_query, index_folder
    from atri_lib.training import Run

    # What is wrong in texts and files is refused before a model is loaded.
    new = options.folder or options.captions
    if not new and not options.index:
        raise UsageError("say where to search: --folder, --captions or --index")
    if options.index and (not new or options.index.exists()):
        index = Index.load(options.index)
    captions = texts_of(options.captions) if options.captions else ()
    wrong: list[str] = []
    queries = [options.query]
    if options.query:
        check_query(options.query)
    elif options.queries and options.queries != TYPED:
        queries = texts_of(options.queries)

    searcher = Searcher(Run.load(options.run))
    language = options.language or ASSUMED
    if not options.language and (captions or not options.audio) and searcher.reads_language:
        notice(f"texts are read as {ASSUMED}; --language CODE names another language")
    broken = []
    if options.folder:
        index, broken = index_folder(searcher, options.folder, strict=options.strict)
    elif captions:
        vectors = searcher.embed_texts(captions, language)
        index = Index(tuple(captions), vectors, searcher.weights)
    elif index.weights != searcher.weights:
        message = f"{options.index} was built with other weights than those of {options.run}"
        raise SearchError(f"{message}: build it again with --folder FOLDER --index FILE")
    for file in broken:
        notice(f"not searched: {file}")
    if new and options.index:
        index.save(options.index)

    if options.audio:
        asked = [(options.audio, searcher.embed_clip(searcher.read(options.audio)))]
    elif options.queries == TYPED:
        asked = ((query, searcher.embed_texts([query], language)[0]) for query in _typed(wrong))
    else:
        asked = zip(queries, searcher.embed_texts(queries, language), strict=True)
    for query, vector in asked:
        results = []
        lines = [f"{one_line(query)}:"]
        for name, similarity in index.nearest(vector, options.k):
            results.append({"name": name, "similarity": round(similarity, 4)})
            lines.append(f"  {one_line(name)}  {similarity:.4f}")
        say(options, {"query": str(query), "results": results}, "\n".join(lines))
    return SOME_FAILED if broken or wrong else None


def _typed(wrong: list[str]) -> Iterator[str]:
    """The texts on standard input as they come; what is none is said, and added to those wrong.
    Raises SearchError for a line that is too long to be read.
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
            wrong.append(text)
