"""Why training failed, in a sentence for the operator."""

from __future__ import annotations

import torch

from ptycho_core.base.errors import PtychoError, TrainingError


def explained(error: BaseException) -> BaseException:
    """Return the failure in a sentence for the operator, or the error itself where it has one or is none of ours."""
    if isinstance(error, TrainingError):
        return error
    text = str(error)
    if text.startswith("Caught ") and "DataLoader worker" in text:  # a traceback, and the sentence at its end
        text = text.strip().splitlines()[-1].partition(": ")[2]
    if isinstance(error, PtychoError):
        return TrainingError(text)
    if (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "not enough memory" in text
        or "out of memory" in text
    ):
        return TrainingError(
            "training ran out of memory; checkpoints so far are kept. Try a smaller batch_size, gridsize or "
            "model_width, or another accelerator"
        )
    if "DataLoader worker" in text:
        return TrainingError(
            f"a process that reads patterns died; checkpoints so far are kept. Try num_workers 0 ({text})"
        )
    if isinstance(error, torch.distributed.DistError) or "Connection closed by peer" in text:
        return TrainingError("another of the processes that train together ended; checkpoints so far are kept")
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return TrainingError(f"training stopped: {error.strerror or text}{where}; checkpoints so far are kept")
    return error
