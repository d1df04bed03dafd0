"""The version, apart from the package's front so that every layer may know it."""

__version__ = "0.1.0"
