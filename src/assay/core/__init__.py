"""Seeds, errors and settings: what every other room stands on. Imports nothing of Assay."""
