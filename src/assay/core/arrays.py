"""Arrays by what is in them: the one vocabulary of annotations that say no shape. Where a shape is said, jaxtyping says it."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Exacts", "Floats", "Ints", "Numbers"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Exacts = npt.NDArray[np.object_]  # fractions or integers of Python
Numbers = npt.NDArray[Any]  # integers or exact numbers for exact results, or floats
