# %% [markdown]
# # Watch a run
#
# `train` calls a function with every event of the run, in the thread that trains. Here the function keeps the
# validation loss and draws it, with the phase of the object as it emerges. In Jupyter begin with `%matplotlib widget`
# (or `qt`), so that the figure is drawn while the cell runs.

# %%
import tempfile

import matplotlib.pyplot as plt
import numpy as np

from ptycho_core import SimulationSpec, build_config, events, simulate, train

scan = simulate(SimulationSpec(size=16, n_patterns=64, step_px=2, jitter_px=0.5)).scan

# %%
figure, (curve, picture) = plt.subplots(1, 2, figsize=(9, 4))
losses: dict[int, float] = {}


def draw(event: events.Event) -> None:
    """Take from each event what the plot shows; most are of no interest here."""
    match event:
        case events.EpochDone():
            losses[event.epoch] = event.metrics["poisson_val_loss"]
            curve.clear()
            curve.semilogy(list(losses), list(losses.values()), marker="o")
            curve.set(xlabel="epoch", ylabel="validation loss")
        case events.PreviewReady():
            picture.clear()
            picture.imshow(np.angle(event.object), cmap="twilight")
            picture.set_title(f"phase in epoch {event.epoch}")
        case _:
            return
    figure.canvas.draw_idle()
    figure.canvas.flush_events()


# %%
config = build_config(engine="direct", max_epochs=10, preview_seconds=0.1)
run = train(config, scan, tempfile.mkdtemp(), events=draw)
print(f"{run.status}: {run.reason}")
