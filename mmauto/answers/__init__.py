"""Pure functions of what is stored."""
