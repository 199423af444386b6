"""Whatever a plug-in does while it is loaded, the studies of others are listed, shown and run, and JSON stays JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.runner import plugins
from assay.runner.new_study import new_study

ODD = {
    "raises": "class Odd(BaseException):\n    pass\n\nraise Odd('so\\x1b[31m there')\n",
    "exits": "import os\nos._exit(7)\n",
    "interrupts": "raise KeyboardInterrupt\n",
    "signals": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "hangs": "import time\ntime.sleep(1000)\n",
    "hoards": "whole = []\nwhile True:\n    whole.append(bytearray(2**26))\n",
}
PRINTS = "import os\nprint('words of a plug-in')\nos.write(1, b'more words')\n"

LIST = """
import json, sys
from assay.runner import plugins
plugins.SECONDS, plugins.MEMORY_MIB = 40, 600
from assay.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a package for each way to be odd, one that prints, and one that is as it should be."""
    folder = tmp_path / "site"
    folder.mkdir()
    sources = {**ODD, "prints": PRINTS + new_study("prints"), "good": new_study("good")}
    for name, text in sources.items():
        (folder / f"plug_{name}.py").write_text(text)
    metadata = folder / "plugs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugs\nVersion: 1.0\n")
    points = "".join(f"{name} = plug_{name}:STUDY\n" for name in sources)
    (metadata / "entry_points.txt").write_text(f"[assay.studies]\n{points}")
    return folder


def assay(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])),
        "ASSAY_STORE": str(site.parent / "store"),
        "ASSAY_CACHE": str(site.parent / "cache"),
    }
    command = [sys.executable, "-c", LIST, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)


def test_no_plug_in_stops_a_command_about_another(site: Path) -> None:
    done = assay(site, "list", "--json")
    assert done.returncode == 0, done.stderr
    listed = {row["study"] for row in json.loads(done.stdout)}
    assert {"good", "prints", "off-switch-game"} <= listed
    assert not listed & set(ODD)
    for name in ODD:
        assert f"the study plug-in '{name}' was skipped" in done.stderr
    assert "Odd: so\\x1b[31m there" in done.stderr
    assert "takes more than 40 s to load" in done.stderr
    assert "Traceback" not in done.stderr
    shown = assay(site, "show", "prints", "--json")  # met before: what hangs is not tried again
    assert json.loads(shown.stdout)[0]["study"] == "prints"
    ran = assay(site, "run", "good", "--preset", "quick", "--json")
    assert [row["verdict"] for row in json.loads(ran.stdout)] == ["void"]
    refused = assay(site, "run", "raises")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "must load" in refused.stderr


def test_what_a_plug_in_could_do_once_is_kept_until_it_changes(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(site))
    tried = list[str]()
    real = plugins._in_a_child
    monkeypatch.setattr(plugins, "_in_a_child", lambda value: tried.append(value) or real(value))
    good = EntryPoint("good", "plug_good:STUDY", "assay.studies")
    assert plugins.load_plugin(good) is plugins.load_plugin(good)
    assert tried == ["plug_good:STUDY"]
    (site / "plug_good.py").write_text(new_study("good") + "# longer\n")
    plugins.load_plugin(good)
    assert len(tried) == 2
    (tmp_path / "cache" / "plugins.json").write_text("[1")  # damaged: made again
    plugins.load_plugin(good)
    assert len(tried) == 3
