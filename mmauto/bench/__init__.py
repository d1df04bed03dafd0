"""``mmauto bench``: how fast a search is, against the loops that people write by hand."""
