"""A long short-term memory over words, trained from scratch."""

from __future__ import annotations

from mmauto_text.recurrent import Recurrent


class Lstm(Recurrent):
    """Hidden states of an LSTM of one or both directions."""

    name = "lstm"
    summary = "LSTM of 1-2 layers over word embeddings, trained from scratch"
    reference = "Hochreiter and Schmidhuber 1997; Graves and Schmidhuber 2005 (both directions)"
    cell = "LSTM"
