"""Placeholder: written by the answers slice."""
