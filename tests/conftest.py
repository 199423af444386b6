"""One thread a worker; what the general rooms' functions say of arrays is checked while the tests run.

Nothing is read from or written to a store of the user's: what names no store has one of this session's, shared by its workers.
One thread, because results may depend on the number of threads, and two cores are shared by two workers.
"""

import os
from collections.abc import Iterator
from typing import Any, Self, get_args, get_origin

import hypothesis
import jaxtyping
import numpy as np
import pytest
from beartype import BeartypeConf, FrozenDict, beartype

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"

# A busy machine is no fault of the code.
hypothesis.settings.register_profile("assay", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("assay")

ROOMS = ("worlds", "models", "training", "instruments", "solvers", "protocols", "stats")
# Integers pass for floats, as in the language; `Self` means nothing to a checker that is handed one method at a time.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({Self: object})))
jaxtyped = jaxtyping.jaxtyped


def says_arrays(hint: object) -> bool:
    """Whether an annotation says a shape or a dtype."""
    is_array = get_origin(hint) is np.ndarray or (isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray))
    return is_array or any(map(says_arrays, get_args(hint)))


def jaxtyped_where_arrays(*, typechecker: Any) -> Any:
    """`jaxtyped` for what speaks of arrays; the rest has strict types already, and a check at every call would be slow."""
    checking = jaxtyped(typechecker=typechecker)
    return lambda one: checking(one) if any(map(says_arrays, one.__annotations__.values())) else one


# The hook must stand before the first import of these rooms: pytest reads this file first, in every worker.
jaxtyping.jaxtyped = jaxtyped_where_arrays
jaxtyping.install_import_hook([f"assay.{room}" for room in ROOMS], f"sys.modules[{__name__!r}].checked")


@pytest.fixture(scope="session", autouse=True)
def store_of_the_session(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[None]:
    """A folder of no project and no user, for stores and memoised steps that name none."""
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_STORE", str((base.parent if hasattr(request.config, "workerinput") else base) / "store"))
        yield
