"""The registry of studies: a study is a function that lists its runs, and a line in STUDIES.

The settings of all studies are those of chapter 5, chosen on validation scenes; no run here was
used to choose one.
"""

from collections.abc import Callable

from studies import cure_lists, paper_lists, picture_lists, schedule_lists
from studies.items import Item, of_scratch

STUDIES: dict[str, Callable[[], list[Item]]] = {
    "dose_16": lambda: schedule_lists.dose(16),
    "captions": schedule_lists.captions,
    "triangle": paper_lists.triangle,
    "fresh_16": lambda: schedule_lists.fresh(16),
    "anchors": paper_lists.anchors,
    "stages": paper_lists.stages,
    "towers": paper_lists.towers,
    "dose_30": lambda: schedule_lists.dose(30),
    "book_30": schedule_lists.book_30,
    "dose_16_e5": lambda: schedule_lists.dose(16, "e5"),
    "triangle_e5": lambda: paper_lists.triangle("e5"),
    "lengths_e5": paper_lists.lengths_e5,
    "folder": schedule_lists.folder,
    "folder_8": schedule_lists.folder_8,
    "folder_new": schedule_lists.folder_new,
    "numbers": schedule_lists.numbers,
    "fresh_8": lambda: schedule_lists.fresh(8, 16),
    "fresh_30": lambda: schedule_lists.fresh(30),
    "descent": schedule_lists.descent,
    "dose_30_e5": lambda: schedule_lists.dose(30, "e5"),
    "fixed_counts": schedule_lists.fixed_counts,
    "fixed_counts_new": lambda: schedule_lists.fixed_counts(data_seed=1),
    "fixed_counts_e5": lambda: schedule_lists.fixed_counts(encoder="e5"),
    "fixed_counts_e5_new": lambda: schedule_lists.fixed_counts(data_seed=1, encoder="e5"),
    "stopped": schedule_lists.stopped,
    "stopped_new": lambda: schedule_lists.stopped(data_seed=1),
    "cures": cure_lists.cures,
    "cures_e5": lambda: cure_lists.cures("e5"),
    "cures_folder": cure_lists.cures_folder,
    "cures_unseen": cure_lists.cures_unseen,
    "parallel_text": cure_lists.parallel_text,
    "other_cures": cure_lists.other_cures,
    "all_texts_e5": cure_lists.all_texts_e5,
    "targets_folder": lambda: of_scratch(cure_lists.targets(epochs=8), (2000, 250, 1000), seed=1),
    "targets_phrasing": lambda: cure_lists.targets(epochs=16, data=schedule_lists.PHRASING),
    "towers_apart": paper_lists.towers_apart,
    "phrasing": schedule_lists.phrasing,
    "unseen": schedule_lists.unseen,
    "other_bank": schedule_lists.other_bank,
    "cldr": schedule_lists.cldr,
    "pictures": lambda: picture_lists.pictures("pictures"),
    "pictures_apart": lambda: picture_lists.pictures(
        "pictures-apart", "balanced", "ML-CLAP", "KCL"
    ),
    "stamps": lambda: picture_lists.pictures("stamps", "balanced", "ML-CLAP", "KCL"),
    "pixels": lambda: picture_lists.pictures(
        "pictures", "KCL", encoder="studies.pixels:Pixels", parts=6
    ),
}
