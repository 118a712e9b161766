"""Let a Lightning callback of your own look on while a scan trains, and end the run when it is good enough.

python examples/lightning_callback.py scan.npz out 0.6
"""

import sys
from typing import Any

import lightning as L

from ptycho_core import StopToken, build_config, read_scan, train


class StopAtTarget(L.Callback):
    """Asks for an orderly end once the validation loss is low enough."""

    def __init__(self, target: float, stop: StopToken) -> None:
        self.target, self.stop = target, stop

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = float(trainer.callback_metrics["poisson_val_loss"])
        print(f"epoch {trainer.callback_metrics['epoch']:.0f}: {loss:.4f}")
        if loss < self.target:
            self.stop.stop(f"poisson_val_loss is below {self.target:g}")


def main(scan_file: str, folder: str, target: str, **settings: Any) -> None:
    stop = StopToken()
    config = build_config(preset="quick", **settings)
    run = train(config, read_scan(scan_file), folder, stop=stop, callbacks=[StopAtTarget(float(target), stop)])
    print(f"{run.status} after {run.epochs_done} epochs: {run.reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
