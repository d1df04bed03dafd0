"""Doing: features, models, training, executors. Torch lives here and in plugins only."""
