"""Low-rank adaptation (LoRA) through the library peft."""

from __future__ import annotations

import importlib.util
from typing import Any

from mmauto.plugin import DataError, Params


def check_lora(params: Params, name: str) -> None:
    """Refuse ``tune = lora`` where peft is not installed.

    Raises:
        DataError: as said; ``name`` is the encoder's.
    """
    if params["tune"] == "lora" and not importlib.util.find_spec("peft"):
        raise DataError(
            f"{name} with tune = lora needs the library peft, it is not installed; "
            'run: pip install "mmauto[peft]"'
        )


def with_lora(network: Any, rank: int) -> Any:
    """Low-rank matrices beside the attention's query and value; nothing else trains."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

    targets = TARGETS.get(network.config.model_type, "all-linear")
    named = targets if isinstance(targets, str) else list(targets)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=named)
    return inject_adapter_in_model(config, network)
