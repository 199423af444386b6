"""Measurements on a model that leave the model unchanged."""
