"""A gated recurrent unit over words, trained from scratch."""

from __future__ import annotations

from mmauto_text.recurrent import Recurrent


class Gru(Recurrent):
    """Hidden states of a GRU of one or both directions."""

    name = "gru"
    default = False
    summary = "GRU of 1-2 layers over word embeddings, trained from scratch"
    reference = "Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder, EMNLP"
    cell = "GRU"
