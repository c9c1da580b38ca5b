"""The registry of studies: a study is a function that lists its runs, and a line in STUDIES.

The settings of all studies are those of chapter 5, chosen on validation scenes; no run here was
used to choose one.
"""

from collections.abc import Callable

from studies import cure_lists, paper_lists, picture_lists, schedule_lists
from studies.items import Item

SOME = ("balanced", "ML-CLAP", "KCL")  # of the five schemes
STUDIES: dict[str, Callable[[], list[Item]]] = {}
STUDIES["dose_16"] = lambda: schedule_lists.dose(16)
STUDIES["captions"] = schedule_lists.captions
STUDIES["triangle"] = paper_lists.triangle
STUDIES["fresh_16"] = lambda: schedule_lists.fresh(16)
STUDIES["anchors"] = paper_lists.anchors
STUDIES["stages"] = paper_lists.stages
STUDIES["towers"] = paper_lists.towers
STUDIES["dose_30"] = lambda: schedule_lists.dose(30)
STUDIES["book_30"] = schedule_lists.book_30
STUDIES["dose_16_e5"] = lambda: schedule_lists.dose(16, "e5")
STUDIES["triangle_e5"] = lambda: paper_lists.triangle("e5")
STUDIES["lengths_e5"] = paper_lists.lengths_e5
STUDIES["folder"] = schedule_lists.folder
STUDIES["folder_8"] = schedule_lists.folder_8
STUDIES["folder_new"] = schedule_lists.folder_new
STUDIES["numbers"] = schedule_lists.numbers
STUDIES["fresh_8"] = lambda: schedule_lists.fresh(8, 16)
STUDIES["fresh_30"] = lambda: schedule_lists.fresh(30)
STUDIES["descent"] = schedule_lists.descent
STUDIES["dose_30_e5"] = lambda: schedule_lists.dose(30, "e5")
STUDIES["fixed_counts"] = schedule_lists.fixed_counts
STUDIES["fixed_counts_new"] = lambda: schedule_lists.fixed_counts(data_seed=1)
STUDIES["fixed_counts_e5"] = lambda: schedule_lists.fixed_counts(encoder="e5")
STUDIES["fixed_counts_e5_new"] = lambda: schedule_lists.fixed_counts(data_seed=1, encoder="e5")
STUDIES["stopped"] = schedule_lists.stopped
STUDIES["stopped_new"] = lambda: schedule_lists.stopped(data_seed=1)
STUDIES["cures"] = cure_lists.cures
STUDIES["cures_e5"] = lambda: cure_lists.cures("e5")
STUDIES["cures_folder"] = cure_lists.cures_folder
STUDIES["cures_unseen"] = cure_lists.cures_unseen
STUDIES["parallel_text"] = cure_lists.parallel_text
STUDIES["other_cures"] = cure_lists.other_cures
STUDIES["all_texts_e5"] = cure_lists.all_texts_e5
STUDIES["targets_folder"] = cure_lists.targets_folder
STUDIES["targets_phrasing"] = cure_lists.targets_phrasing
STUDIES["towers_apart"] = paper_lists.towers_apart
STUDIES["phrasing"] = schedule_lists.phrasing
STUDIES["unseen"] = schedule_lists.unseen
STUDIES["other_bank"] = schedule_lists.other_bank
STUDIES["cldr"] = schedule_lists.cldr
STUDIES["pictures"] = lambda: picture_lists.pictures("pictures")
STUDIES["pictures_apart"] = lambda: picture_lists.pictures("pictures-apart", *SOME)
STUDIES["stamps"] = lambda: picture_lists.pictures("stamps", *SOME)
STUDIES["pixels"] = picture_lists.pixels
