"""Which encoders a modality's tokens may come from."""

from __future__ import annotations

from mmauto.config import StudyConfig
from mmauto.contracts import Encoder
from mmauto.errors import ConfigError
from mmauto.registry import Registry
from mmauto.space import defaults
from mmauto.values import TaskView


def choose_encoders(
    registry: Registry, key: str, task: TaskView, config: StudyConfig
) -> dict[str, Encoder]:
    """The candidates for one modality.

    Named ones where ``encoders`` names any for it; else those whose tokens can be cached (with
    ``preset = thorough`` trained ones too), or the trained ones where there are no others.

    Raises:
        ConfigError: nothing is left, or a named one cannot run here.
    """
    modality = task.modalities[key]
    found = registry.encoders_of(modality)
    named = {name: found[name] for name in config.encoders if name in found}
    for name, encoder in named.items():
        reason = encoder.missing()
        if reason is not None:
            raise ConfigError(f"encoder {name!r} was asked for but cannot run here: {reason}")
    usable = named or {
        name: encoder
        for name, encoder in found.items()
        if encoder.default and encoder.missing() is None and name not in config.exclude
    }
    if not usable:
        raise ConfigError(
            f"every modality needs an encoder, {key!r} ({modality}) is left without one; "
            f"installed: {', '.join(found) or 'none'}; name one with --encoders, or leave the "
            "column out"
        )
    if named or config.preset == "thorough":
        return usable
    return {n: e for n, e in usable.items() if is_frozen(e, task)} or usable


def is_frozen(encoder: Encoder, task: TaskView) -> bool:
    """Whether its tokens are cached at its default parameters."""
    return encoder.frozen(defaults(encoder.space(task)))
