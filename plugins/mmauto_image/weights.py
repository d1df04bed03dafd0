"""Where a network's weights come from: a fixed seed, or a file known by its digest.

A study file that wants a frozen structure where no weights are at hand names
``weights = "random"``: the same draws every time, so cached tokens and a bundle built again agree.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmauto.plugin import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def fixed_draws(wanted: bool = True) -> Iterator[None]:
    """Torch's random numbers start at a fixed seed inside, and go on outside as if never used."""
    import torch

    if not wanted:
        yield
        return
    with torch.random.fork_rng(devices=[]):  # modules are built on the CPU
        torch.default_generator.manual_seed(0)  # those of other devices are not forked
        yield


def complaint(variable: str) -> str | None:
    """What is wrong with an environment variable that should name a file; None where unset."""
    given = os.environ.get(variable)
    if given is None or Path(given).is_file():
        return None
    return f"{variable} must name a file, there is none at {given!r}; correct it or unset it"


def named_file(variable: str, encoder: str) -> Path:
    """The file that an environment variable names.

    Raises:
        DataError: it names none.
    """
    given = os.environ.get(variable, "")
    if not Path(given).is_file():
        raise DataError(
            f"the encoder {encoder} with weights = 'file' reads the file that {variable} names, "
            f"there is none at {given!r}; set the variable to a torchvision state dict"
        )
    return Path(given)


def sha256(file: Path) -> str:
    """The digest of a file's bytes."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def checked(file: Path, digest: str, encoder: str, source: str) -> None:
    """Refuse a file that is not the one that the encoder was fitted with.

    Args:
        source: where the file's name was given, for the message.

    Raises:
        DataError: the file is another one.
    """
    found = sha256(file)
    if found != digest:
        raise DataError(
            f"the encoder {encoder} must get the weights that it was fitted with (SHA-256 "
            f"{digest[:12]}), {source} names {file} with {found[:12]}; name the first one"
        )


def read(file: Path) -> Mapping[str, Tensor]:
    """Tensors by name, of ``.safetensors`` or of what ``torch.save`` wrote; never by pickle."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    import torch

    found: Mapping[str, Tensor] = torch.load(file, weights_only=True, map_location="cpu")
    return found


def fill(
    network: nn.Module, file: Path, what: str, source: str, without: tuple[str, ...] = ()
) -> None:
    """Load a file's tensors into a network.

    Args:
        what: whose state dict it must be, and ``source`` where it was named, for the message.
        without: beginnings of names that the network leaves out (its classifier).

    Raises:
        DataError: the file holds anything else.
    """
    try:
        tensors = {k: v for k, v in read(file).items() if not k.startswith(without or ("\0",))}
        network.load_state_dict(tensors)
    except Exception as error:
        raise DataError(
            f"a weights file must hold {what}, {file} (from {source}) does not: "
            f"{str(error).splitlines()[0]}; save one with torch.save(model.state_dict(), path)"
        ) from error
