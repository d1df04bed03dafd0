"""The report page: assembles what the sections return into one self-contained file."""
