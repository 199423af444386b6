"""SQLite rows, artefacts by hash, memoised expensive steps, migrations."""
