"""Deciding: arms, sampling, pruning, the coordinator. Optuna lives here only."""
