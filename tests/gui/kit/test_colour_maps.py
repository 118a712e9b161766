from __future__ import annotations

import numpy as np

from ptycho_gui.kit.plots.colour_maps import colour_map


def test_the_cyclic_map_ends_as_it_begins_and_is_that_of_exported_pictures():
    from matplotlib import colormaps

    colours = colour_map("twilight").getLookupTable(nPts=256)
    np.testing.assert_array_equal(colours[0], colours[-1])
    known = colormaps["twilight"](np.linspace(0, 1, 256))[:, :3] * 255
    np.testing.assert_allclose(colours[:, :3], known, atol=4)
