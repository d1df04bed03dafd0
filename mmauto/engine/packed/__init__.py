"""Several trials of the same shapes as one model; see `mmauto.engine.packed.choose`."""
