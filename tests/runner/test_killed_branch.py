"""kill -9 while a branch of a state trains: the runs before it stay, and the command goes on to an undisturbed one's rows."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from assay.runner.new_study import new_study

MEASURE = '''
def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Two branches of one state; the second is where the test kills."""
    import os
    import signal

    import numpy as np
    import torch

    from assay.models.decoder import Decoder, DecoderConfig
    from assay.training.losses import Batch, next_token_loss
    from assay.training.optimiser import Optimiser
    from assay.training.sequence import Stage, State, train_from

    rng = seeds("rows")
    rows = torch.from_numpy(rng.integers(11, size=(40, 4, 9)))

    def draw(step: int) -> Batch:
        if os.environ.get("DOOMED") == "yes" and step == 30:  # once a branch
            with open("branches", "a") as file:
                file.write("x")
            if os.path.getsize("branches") == 4:  # the second branch of the second run
                os.kill(os.getpid(), signal.SIGKILL)
        return Batch(rows[step % 40, :, :-1], rows[step % 40, :, 1:])

    stage = Stage(20, draw, next_token_loss)
    model = Decoder.init(DecoderConfig(11, 11, n_layers=1, n_heads=1, d_model=8, d_mlp=16, n_positions=8), rng)
    trunk, _ = train_from(State.fresh(model, Optimiser(learning_rate=0.01)), stage)
    ends = []
    for rate in (0.01, 0.03):
        _, trace = train_from(trunk, stage, optimiser=Optimiser(learning_rate=rate))
        ends.append(float(np.mean(trace.loss_nats[..., -5:])))
    return Measurement(
        estimands={"averaged/error_ratio": ends[0] / 10, "last/error_ratio": ends[1]},
        tables={"curve": [{"draws": 1, "error": ends[1]}]},
    )
'''


def assay(*arguments: str, cwd: Path, doomed: bool = False) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ASSAY_STORE": str(cwd / "store"), "DOOMED": "yes" if doomed else "no"}
    command = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_a_command_killed_while_a_branch_trains_goes_on(tmp_path: Path) -> None:
    text = new_study("two-branches")
    begin, end = text.index("\ndef measure("), text.index("\n# 5. ")
    rows = {}
    for name in ("cut", "whole"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "two_branches.py").write_text(text[:begin] + MEASURE + text[end:])
        if name == "cut":
            killed = assay("run", "two_branches.py", "--runs", "2", "--on", "local", "-q", cwd=folder, doomed=True)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            assert (folder / "branches").read_text() == "xxxx"
        done = assay("run", "two_branches.py", "--runs", "2", "--on", "local", "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        rows[name] = json.loads(done.stdout)
        assert f"{int(name == 'cut')} of 2 runs are stored" in done.stderr
    assert rows["cut"] == rows["whole"]
    assert rows["whole"][0]["n_runs"] == 2
