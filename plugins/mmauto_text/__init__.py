"""Built-in text encoders, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Encoder, hookimpl
from mmauto_text.bag_of_words import BagOfWords
from mmauto_text.embedding_mean import EmbeddingMean
from mmauto_text.gru import Gru
from mmauto_text.lstm import Lstm
from mmauto_text.minilm import MiniLm
from mmauto_text.small_transformer import SmallTransformer
from mmauto_text.text_cnn import TextCnn
from mmauto_text.word_vectors import WordVectors


@hookimpl
def mmauto_encoders() -> Sequence[Encoder]:
    """The encoders of this package."""
    return [
        BagOfWords(),
        EmbeddingMean(),
        Lstm(),
        Gru(),
        TextCnn(),
        SmallTransformer(),
        WordVectors(),
        MiniLm(),
    ]
