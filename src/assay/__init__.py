"""Assay: a laboratory for one question: what does a learning system do with what it is told?"""

__version__ = "0.1.0"
