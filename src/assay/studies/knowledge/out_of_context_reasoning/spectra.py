"""Spectra of matrices: norms that see rank, and how many directions carry a matrix."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from assay.core.errors import SettingsError

__all__ = ["effective_rank", "schatten", "singular_values"]


def singular_values(W: Float[ndarray, "*batch rows columns"]) -> Float[ndarray, "*batch rank"]:
    """Singular values in falling order, in the matrix's unit."""
    values: Float[ndarray, "*batch rank"] = np.linalg.svd(W, compute_uv=False)
    return values


def schatten(W: Float[ndarray, "*batch rows columns"], p: float) -> Float[ndarray, "*batch"]:
    """(Σ σ_i^p)^(1/p): the nuclear norm for p = 1, Frobenius for p = 2; for p < 1 a quasi-norm.

    A product of L matrices of least summed squares has W of least Schatten-2/L (quasi-)norm; L = 1 is Frobenius, L = 2 nuclear.

    Raises:
        SettingsError: p is not positive.
    """
    if p <= 0:
        raise SettingsError(f"a Schatten norm needs p > 0; got p={p}")
    values = singular_values(W)
    largest = values.max(axis=-1, keepdims=True)
    # In units of the largest value, so that small p neither overflows nor underflows.
    relative = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    norm: Float[ndarray, "*batch"] = largest[..., 0] * (relative**p).sum(axis=-1) ** (1 / p)
    return norm


def effective_rank(W: Float[ndarray, "*batch rows columns"]) -> Float[ndarray, "*batch"]:
    """e to the entropy of the singular values' shares: r for r equal directions, and no threshold to choose.

    Source: Roy and Vetterli 2007, "The effective rank", EUSIPCO.
    """
    values = singular_values(W)
    share = values / values.sum(axis=-1, keepdims=True)
    entropy = -np.sum(share * np.log(share, out=np.zeros_like(share), where=share > 0), axis=-1)
    rank: Float[ndarray, "*batch"] = np.exp(entropy)
    return rank
