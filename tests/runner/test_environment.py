"""What is recorded of the machine, and how many threads numerical libraries really use."""

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info

from assay.core.settings import canonical_json
from assay.runner.environment import environment, limited_threads


def test_the_record_is_flat_complete_and_stable() -> None:
    record = environment(1)
    assert record == environment(1)
    assert {"assay", "python", "numpy", "torch", "blas", "cpu_class", "threads", "system", "machine", "hash_seed"} <= set(
        record
    )
    assert all(value is None or isinstance(value, (str, int)) for value in record.values())
    assert canonical_json(record)
    assert environment(2) != record


def test_the_record_does_not_depend_on_what_happens_to_be_loaded() -> None:
    """Or rows of one command would seem to come from several environments."""
    scripts = ["", "import scipy.linalg\n", "import torch\n"]
    end = "from assay.runner.environment import environment\nprint(sorted(environment(1).items()))"
    found = {
        subprocess.run([sys.executable, "-c", script + end], capture_output=True, text=True, check=True, timeout=120).stdout
        for script in scripts
    }
    assert len(found) == 1


def test_recording_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom assay.runner.environment import environment\nenvironment(1)\n"
        "assert not {'torch', 'scipy', 'transformers', 'cvxpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_limited_inside_and_as_before_outside(threads: int) -> None:
    import numpy as np
    import torch

    before = (torch.get_num_threads(), dict(os.environ), [pool["num_threads"] for pool in threadpool_info()])
    with limited_threads(threads):
        assert torch.get_num_threads() == threads
        assert os.environ["OMP_NUM_THREADS"] == str(threads)
        blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        assert blas
        assert set(blas) <= {1, threads}
        np.ones((4, 4)) @ np.ones((4, 4))
    assert before == (torch.get_num_threads(), dict(os.environ), [pool["num_threads"] for pool in threadpool_info()])


def test_a_library_loaded_inside_is_limited_too() -> None:
    script = (
        "from assay.runner.environment import limited_threads\n"
        "with limited_threads(1):\n"
        "    import torch\n"
        "    assert torch.get_num_threads() == 1, torch.get_num_threads()\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, env=environ)
