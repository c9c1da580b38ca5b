import pytest
import torch

from atri_lib.theory import twin_runs
from studies.bound_checks import share_held
from studies.small_projections import ARMS, SLOW, on_features, principal


def test_principal_components_are_a_rotation_of_the_centred_features():
    features_ = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    centred = features_.double().flatten(0, 1) - features_.double().mean((0, 1))
    kept = principal(features_, 4).flatten(0, 1)
    torch.testing.assert_close(kept @ kept.T, centred @ centred.T / centred.square().mean())
    assert principal(features_, 2).square().mean() == pytest.approx(1)
    one = principal(features_, 1).flatten()
    assert (one @ kept[:, 0]).abs() == pytest.approx(
        (one.norm() * kept[:, 0].norm()).item()
    )  # the leading one


def test_on_features_shares_everything_but_the_languages():
    clip_features, texts = torch.randn(8, 6, 5), torch.randn(8, 3, 7)
    one, other = (
        on_features(clip_features, texts, components=3, hidden=4, width=4, batch=4, epochs=1)
        for _ in range(2)
    )
    assert torch.equal(one.task.start, other.task.start) and torch.equal(
        one.clip_features, other.clip_features
    )
    table = twin_runs.run(one, SLOW, ARMS[:1], draws=1, power_iterations=1)
    assert share_held(table.published, table.measured) == 1
