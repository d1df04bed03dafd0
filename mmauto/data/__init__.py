"""Raw data: columns, tables, splits, targets."""
