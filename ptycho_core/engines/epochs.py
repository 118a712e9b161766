"""The number of an epoch: from 1, in all that is written, printed and shown; Lightning counts from 0."""

import lightning as L


def number_of_epoch(trainer: L.Trainer) -> int:
    """Return the number of the epoch that goes on or, when the fit is over, of its last one: 0 where there was none."""
    return trainer.current_epoch if trainer.state.finished else trainer.current_epoch + 1
