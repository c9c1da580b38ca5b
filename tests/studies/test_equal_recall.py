"""KCL stopped at the recall of ML-CLAP."""

from studies import equal_recall


def test_the_length_is_chosen_on_the_first_scenes_by_recall_alone():
    recall = equal_recall.by_length("stopped", "dose_16")["T2A R@1"]
    usual = recall.pop(equal_recall.USUAL)
    apart = (recall - usual).abs()
    assert apart[equal_recall.chosen_length()] == apart.min()


def test_verdicts_follow_the_committed_tolerances(monkeypatch):
    table = equal_recall.verdicts()
    assert len(table) == 4
    within = (table.ratio - 1).abs() <= table.tolerance
    assert (within == (table.verdict == "held")).all()
    monkeypatch.setattr(equal_recall, "APART", 0)
    assert set(equal_recall.verdicts().verdict) == {"not comparable"}
