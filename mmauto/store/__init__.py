"""The stored study: tables, writer, reader."""
