"""Tiny transformers and policies, and pretrained models behind one vocabulary of sites."""
