"""From settings by name, of a preset, a file or flags, to a `Config`, and back to the fewest that say the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ptycho_core.base.choices import PRESETS
from ptycho_core.base.codec import decode_fields, read_json
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError, Problem, did_you_mean

_PLAIN = Config()


def check_used(names: Iterable[str], engine: str) -> list[Problem]:
    """Return a warning for each of these settings that an engine does not use."""
    return [
        Problem(name, f"{name} changes nothing: the {engine} engine does not use it", "warning")
        for name in names
        if not KNOBS[name].serves(engine)
    ]


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings that a JSON file names, checked; it need not name all of them."""
    return decode_fields(Config, read_json(path, "the config file"), str(path))


def build_config(*layers: dict[str, Any], **settings: Any) -> Config:
    """Return the config of layers of settings, later ones winning; the preset that they choose lies below them all.

    What a preset sets depends on the engine that they choose.

    Parameters
    ----------
    layers
        Settings by name.
    settings
        The last layer.

    Raises
    ------
    InputError
        A name is unknown, or a value is not valid.
    """
    merged: dict[str, Any] = {}
    for layer in (*layers, settings):
        merged.update(layer)
    for name in merged:
        if name not in KNOBS:
            raise InputError(f"there is no setting {name!r}; {did_you_mean(name, KNOBS, 'see docs/commands.md')}")
    preset, engine = (KNOBS[name].check(name, merged.get(name, getattr(_PLAIN, name))) for name in ("preset", "engine"))
    return Config(**{**PRESETS[preset][engine], **merged})


def defaults_under(config: Config) -> Config:
    """Return what settings are unless they are set: as the preset of a config has them for its engine."""
    return _PLAIN.replace(**PRESETS[config.preset][config.engine])


def fewest_settings(config: Config) -> dict[str, Any]:
    """Return the settings that are not as preset and defaults have them: `build_config` makes ``config`` of these."""
    plain = defaults_under(config)
    return {name: getattr(config, name) for name in KNOBS if getattr(config, name) != getattr(plain, name)}
