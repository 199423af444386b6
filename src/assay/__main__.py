"""`python -m assay`: the same as the command `assay`."""

from assay.cli.main import main

main()
