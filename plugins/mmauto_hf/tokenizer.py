"""Tokenizers for ``hf_text``: one trained on the train texts, or the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmauto.plugin import DataError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = 2000
KNOWN_LIMIT = 1_000_000
"""A tokenizer that knows no limit of its model's length says some very large number."""


def train_pieces(texts: Sequence[str]) -> list[str]:
    """The vocabulary of a WordPiece tokenizer as BERT's, in lower case, in the order of its ids."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    # the stubs of tokenizers leave out what its classes are called with
    wordpiece: Any = models.WordPiece
    made: Any = Tokenizer(wordpiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    split = made.pre_tokenizer.pre_tokenize_str
    letters = {
        letter
        for text in texts
        for word, _ in split(made.normalizer.normalize_str(text))
        for letter in word
    }
    # the trainer numbers letters in an order of chance, and breaks ties by their numbers
    letter_pieces = [start + letter for start in ("", "##") for letter in sorted(letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(PIECES, len(SPECIAL) + len(letter_pieces)),
        min_frequency=2,
        special_tokens=[*SPECIAL, *letter_pieces],
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    numbers: dict[str, int] = made.get_vocab()
    return sorted(numbers, key=numbers.__getitem__)


def pieces_tokenizer(pieces: Sequence[str]) -> Any:
    """The tokenizer of a vocabulary of `train_pieces`."""
    from transformers import BertTokenizer

    return BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})


def folder_tokenizer(folder: Path) -> Any:
    """The tokenizer that a model's folder brings.

    Raises:
        DataError: there is none that can be read without running code of the folder's own.
    """
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise DataError(
            f"a text model is read with its own tokenizer, that of {folder} cannot be read "
            f"({error}); put the tokenizer's files (e.g. tokenizer.json) beside the weights"
        ) from error
    found.padding_side = "right"
    if found.pad_token is None:
        found.pad_token = found.eos_token
    return found


def limit(tokenizer: Any, config: Any, wanted: int) -> int:
    """How many pieces of a text are read: no more than the model has positions for."""
    if tokenizer.model_max_length < KNOWN_LIMIT:
        return min(wanted, int(tokenizer.model_max_length))
    # RoBERTa and its like keep two positions for themselves
    return min(wanted, int(getattr(config, "max_position_embeddings", wanted + 2)) - 2)
