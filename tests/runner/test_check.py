"""What `assay check` refuses: a claim that a player without the mechanism passes unsaid, and numbers that are one."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from assay.claims.charts import Figure, Lines
from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.evidence import RunRow
from assay.claims.exact import Exact
from assay.claims.paper import Paper
from assay.claims.rules import Above, Below, Equals, Ordered
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.runner.check import compute_nulls, null_names, null_outcomes, quick_faults, same_numbers, structure_faults
from assay.runner.plan import Selection
from assay.store.store import Store


@dataclasses.dataclass(frozen=True)
class Settings:
    shift: float = 0.0


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    skill = 0.9 + 0.01 * seeds("skill").standard_normal()
    return Measurement({"net/accuracy": skill, "shuffled/accuracy": 0.1, "net/loss": 1 - skill, "shuffled/loss": 1.0})


def measure_nulls(settings: Settings, seeds: Seeds) -> Measurement:
    noise = 0.01 * (seeds.root % 3 - 1)
    return Measurement({"constant/accuracy": 0.6 + noise, "constant/loss": 2.0 + noise})


def claim(name: str, estimand: str, rule: Above | Below, **told: str) -> Claim:
    return Claim(
        name,
        "The number is past {bound}.",
        estimand,
        rule,
        why="because",
        at="ours",
        negative=Arm("shuffled", "shuffled"),
        **told,
    )


def experiment(*claims: Claim, **changes: object) -> Experiment:
    told: dict[str, object] = {
        "name": "toy",
        "question": "Does it learn?",
        "claims": claims,
        "presets": {"quick": Preset(Settings(), 2), "laptop": Preset(Settings(), 8)},
        "measure": measure,
        "estimands": (Estimand("accuracy", "share right", low=0, high=1), Estimand("loss", "loss", "nats", low=0)),
        "nulls": (Arm("constant", "the best constant answer"),),
        "measure_nulls": measure_nulls,
    }
    return Experiment(**(told | changes))  # type: ignore[arg-type]


def study(one: Experiment) -> Study:
    return Study("toy", "Toy: does it?", Paper("Somebody", 2020, "Toy", "nowhere"), "Small.", (one,))


def outcomes(one: Experiment, folder: Path) -> Mapping[str, tuple[str, bool]]:
    found = study(one)
    cells = Selection(found).cells
    with Store.open(folder) as store:
        assert compute_nulls(found, store, cells[0], preset="laptop", n_runs=3) == 3
        assert compute_nulls(found, store, cells[0], preset="laptop", n_runs=3) == 0
        return {each.claim: (each.outcome, each.refused) for each in null_outcomes(found, store, cells)}


def test_a_null_that_passes_is_refused_unless_the_claim_says_so(tmp_path: Path) -> None:
    asked = experiment(
        claim("weak", "net/accuracy", Above(0.5)),
        claim("strong", "net/accuracy", Above(0.8)),
        claim("said", "net/accuracy", Above(0.4), null_passes="a constant passes; its other half is strong"),
        claim("edge", "net/accuracy", Above(0.6)),
    )
    assert outcomes(asked, tmp_path) == {
        "weak": ("passes", True),
        "strong": ("fails", False),
        "said": ("passes", False),
        "edge": ("open", False),
    }


def test_a_null_that_nobody_measured_is_refused(tmp_path: Path) -> None:
    lacking = experiment(
        claim("C1", "net/accuracy", Above(0.8)), measure_nulls=lambda settings, seeds: Measurement({"constant/loss": 1.0})
    )
    assert outcomes(lacking, tmp_path) == {"C1": ("not measured", True)}


def test_a_null_arm_says_which_numbers_it_cannot_have(tmp_path: Path) -> None:
    blind = Arm("constant", "the best constant answer", why="it has no weights", lacks=("accuracy",))
    lacking = experiment(
        claim("C1", "net/accuracy", Above(0.8)),
        claim("C2", "net/loss", Above(0.8)),
        nulls=(blind,),
        measure_nulls=lambda settings, seeds: Measurement({"constant/other": 1.0}),
    )
    assert outcomes(lacking, tmp_path) == {"C1": ("not measured", False), "C2": ("not measured", True)}
    with pytest.raises(SettingsError, match="'constant' lacks accuracy: say why="):
        Arm("constant", "the best constant answer", lacks=("accuracy",))


def test_an_orderings_null_has_one_number_for_each_of_its_arms() -> None:
    assert null_names(Arm("constant", "x"), ("few/loss", "many/loss")) == ("constant-few/loss", "constant-many/loss")
    assert isinstance(Ordered(0.1), Ordered)


def test_structure() -> None:
    one = experiment(
        claim("A", "net/accuracy", Above(0.5)), claim("B", "net/accuracy", Above(0.5)), nulls=(), measure_nulls=None
    )
    faults = structure_faults(study(one))
    assert any("no null arms are named" in fault for fault in faults)
    assert any("'A' and 'B' share one control number" in fault for fault in faults)
    explained = experiment(
        claim("A", "net/accuracy", Above(0.5)), claim("B", "net/accuracy", Above(0.5), related="two readers")
    )
    assert structure_faults(study(explained)) == []


def test_an_exact_check_with_seeds_is_refused() -> None:
    seeded = experiment(exact=(Exact("E", "It is {value}.", Equals(1.0), why="x", at="ours"),), check=measure)
    assert any("without seeds" in fault for fault in structure_faults(study(seeded)))


def test_what_a_quick_run_lacks_is_named() -> None:
    one = experiment(claim("C1", "net/accuracy", Above(0.5)))
    assert quick_faults(one, measure(Settings(), Seeds(0))) == []
    bare = Measurement({"net/accuracy": 1.2, "net/speed": 3.0})
    assert quick_faults(one, bare) == [
        "claim 'C1' needs 'shuffled/accuracy', which measure does not give",
        "'speed' is measured and not defined",
        "'loss' is defined and not measured",
        "'net/accuracy' = 1.2 lies outside its range, 0 to 1",
    ]


def test_a_misspelt_name_is_told_with_the_near_one() -> None:
    misspelt = Measurement({"net/acuracy": 0.9, "shuffled/accuracy": 0.1}, {"curve": [{"steps": 1, "loss": 0.5}]})
    chart = Figure("loss", title="Loss", caption="Loss by step.", chart=Lines("curve", x="step", y="loss"))
    one = dataclasses.replace(experiment(claim("C1", "net/accuracy", Above(0.5))), figures=(chart,))
    faults = quick_faults(one, misspelt)
    assert "claim 'C1' needs 'net/accuracy', which measure does not give; did you mean 'net/acuracy'?" in faults
    assert "figure 'loss': the column 'step' is missing; did you mean 'steps'?" in faults


def test_one_number_is_one_claim() -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.2, 0.9, 10)
    rows = [
        RunRow(
            "toy",
            seed,
            "ok",
            {"net/accuracy": a, "net/loss": float(-np.log(a)), "free/loss": float(rng.normal()), "same/loss": 1.0},
        )
        for seed, a in enumerate(accuracy)
    ]
    one = experiment(
        claim("accuracy", "net/accuracy", Above(0.5)),
        claim("loss", "net/loss", Below(0.5)),
        claim("free", "free/loss", Below(0.5)),
        claim("still", "same/loss", Below(0.5)),
    )
    first, second = same_numbers(study(one), {"toy": rows})
    assert first == "'still' is the same in all 10 runs"
    assert second.startswith("'accuracy' and 'loss' are one number")
    assert same_numbers(study(one), {"toy": rows[:7]}) == []
