"""Pages, tables and figures, made from stored rows only."""
