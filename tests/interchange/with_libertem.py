"""Run by LiberTEM's own Python: the frames that it finds in a raw file of Merlin go into an NPZ."""

import sys

import numpy as np
from libertem.api import Context
from libertem.io.dataset.base import BufferedBackend
from libertem.udf.raw import PickUDF


def read(path, found, lines, columns):
    """The frames (n, y, x), rows as they are stored."""
    context, shape = Context.make_with("inline"), (int(lines), int(columns))
    dataset = context.load("mib", path=path, nav_shape=shape, disable_glob=True, io_backend=BufferedBackend())
    picked = context.run_udf(dataset, PickUDF(), roi=np.ones(shape, bool))
    np.savez(found, frames=picked["intensity"].data)


if __name__ == "__main__":
    read(*sys.argv[1:])
