"""The generator checks itself: the other tests are worth as much as their objects."""

import numpy as np
import pytest
from pydicom.pixels import pixel_array

from dciodvfy import errors
from matrix import RECIPES
from objects import LOSSY, build


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_source_is_valid_and_shows_its_frames(recipe, tmp_path):
    source = build(recipe, tmp_path)
    assert source.dataset.file_meta.TransferSyntaxUID == recipe.syntax
    assert errors(source.path, tmp_path) == set()
    decoded = pixel_array(source.dataset).reshape(source.shown.shape)
    if recipe.syntax in LOSSY:
        near = np.abs(decoded.astype(int) - source.shown.astype(int)).mean()
        assert near < np.ptp(source.shown) * 0.05
    else:
        assert np.array_equal(decoded, source.shown)
    if recipe.encapsulated:
        encoded = source.fragments()
        assert len(set(encoded)) == recipe.frames, "frames must differ for a mix-up to show"
