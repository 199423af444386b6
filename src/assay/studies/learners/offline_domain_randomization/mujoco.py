"""The same question in a physics engine: a pendulum and a hopper, PPO, and a real system with damping the simulator lacks."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, MinLen, doc

from assay.claims.charts import Bars, Figure
from assay.claims.rules import Above
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.mujoco_tasks import TASKS, MujocoSimulator, make_env
from assay.studies.learners.offline_domain_randomization.randomisation import (
    Fit,
    FitSettings,
    Randomisation,
    fit_randomisation,
    uniform_randomisation,
)
from assay.studies.learners.offline_domain_randomization.simulators import Transitions

if TYPE_CHECKING:
    from assay.studies.learners.offline_domain_randomization.ppo_policies import PPOSettings

Floats = npt.NDArray[np.float64]

CLAIMS = (
    Claim(
        "P1.masses",
        says="Fitted to twenty transitions of a hopper, the law's mean is nearer to the real link masses than the middle of "
        "the bounds is, by half or more.",
        source="arXiv:2201.08434",
        estimand="nearer_hopper",
        rule=Above(math.log(2)),
        margin="log ratio of the distances; half the distance",
        control=Control("transitions of another hopper bring it no nearer", "nearer_hopper_other"),
        paper_value="recovers masses in simulation",
    ),
    Claim(
        "P2.wider",
        says="The entropy bonus gives a broader law, averaged over both systems.",
        source="arXiv:2506.10133v1, experiments",
        estimand="wider",
        rule=Above(0.2),
        margin="mean log deviation with the bonus minus without; 0.2 is a fifth",
        control=Control("a second search without the bonus is no broader", "wider_again"),
        paper_value="broader randomisation",
    ),
    Claim(
        "P3.pendulum",
        says="On the real pendulum a policy trained on the fitted law earns more than one trained on every pendulum in the "
        "bounds.",
        source="arXiv:2506.10133v1; arXiv:2201.08434",
        estimand="gain_pendulum",
        rule=Above(0.02),
        margin="share of the largest return, 1000; 0.02 is 20 of 1000 steps upright",
        control=Control("fitted to another pendulum's transitions it does not", "gain_pendulum_other"),
        paper_value="fitted beats uniform",
    ),
    Claim(
        "P4.hopper",
        says="So it does on the real hopper.",
        source="arXiv:2506.10133v1; arXiv:2201.08434",
        estimand="gain_hopper",
        rule=Above(0.02),
        margin="share of a return of 1000; 0.02 is 20",
        control=Control("fitted to another hopper's transitions it does not", "gain_hopper_other"),
        paper_value="fitted beats uniform",
    ),
    Claim(
        "P5.bonus",
        says="With the entropy bonus the policies earn more on the real systems than without.",
        source="arXiv:2506.10133v1, experiments",
        estimand="gain_of_bonus",
        rule=Above(0.02),
        margin="share of a return of 1000, mean of both systems; 0.02 is 20",
        control=Control("training without the bonus a second time is worth no such thing", "gain_again"),
        paper_value="more robust zero-shot transfer",
    ),
)
N_TRAININGS = 5  # on the bounds, on three fitted laws, and again on the first of them
SCALE = 1000.0  # the pendulum's largest return, and about what a short training earns on the hopper


@dataclass(frozen=True)
class Settings:
    """Records, searches and trainings for both systems."""

    tasks: Annotated[tuple[str, ...], MinLen(1), doc("systems, of pendulum and hopper")] = ("pendulum", "hopper")
    records: Annotated[int, Ge(2), doc("transitions recorded on the real system")] = 20
    noise_floor: Annotated[float, Gt(0), doc("eps; the released choice where effects are missing")] = 1e-3
    bonus: Annotated[float, Gt(0), doc("beta of the entropy bonus")] = 1.0
    fit_budget: Annotated[int, Ge(10), doc("evaluations of CMA-ES for a law")] = 300
    n_draws: Annotated[int, Ge(2), doc("simulated next states per transition")] = 15
    pendulum_steps: Annotated[int, Ge(16), doc("environment steps of a training")] = 40_000
    hopper_steps: Annotated[int, Ge(16), doc("environment steps of a training")] = 100_000
    rollout: Annotated[int, Ge(2), doc("steps of each of 8 environments between updates")] = 256
    n_episodes: Annotated[int, Ge(1), doc("episodes on the real system a policy is judged by")] = 20

    def __post_init__(self) -> None:
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or len(set(self.tasks)) < len(self.tasks):
            raise SettingsError(f"tasks must be some of {', '.join(TASKS)}, each once; got {', '.join(self.tasks)}")

    def steps(self, task: str) -> int:
        """Environment steps of one training."""
        return self.pendulum_steps if task == "pendulum" else self.hopper_steps


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Fit, train and meet the real system, for each task."""
    from assay.studies.learners.offline_domain_randomization.ppo_policies import PPOSettings

    rows: Table = []
    laws: Table = []
    estimands: dict[str, float] = {}
    wider: list[tuple[float, float]] = []
    bonus_gains: list[tuple[float, ...]] = []
    done, total = 0, N_TRAININGS * sum(settings.steps(task) for task in settings.tasks)
    for task in settings.tasks:

        def trained(law: Randomisation, name: str, task: str = task) -> Any:
            nonlocal done
            begun, steps = done, settings.steps(task)
            done += steps

            def tell(share: float) -> None:
                progress((begun + share * steps) / total, f"{task}: {name}")

            return _train(task, law, PPOSettings(steps, rollout=settings.rollout), seeds.child(task), name, tell)

        found = _meet(settings, task, seeds.child(task), trained)
        earned = {mode: float(values.mean()) / SCALE for mode, values in found.returns.items()}
        rows += [{"system": task, "trained_on": mode, "return": SCALE * value} for mode, value in earned.items()]
        laws += found.laws
        estimands |= {
            f"gain_{task}": earned["fitted"] - earned["uniform"],
            f"gain_{task}_other": earned["fitted to another system"] - earned["uniform"],
            f"nearer_{task}": found.nearer["fitted"],
            f"nearer_{task}_other": found.nearer["fitted to another system"],
        }
        wider.append(found.wider)
        bonus_gains.append(tuple(earned[law] - earned["fitted"] for law in ("fitted, bonus", "fitted again")))
    with_bonus, again = np.mean(wider, axis=0)
    gain_of_bonus, gain_again = np.mean(bonus_gains, axis=0)
    return Measurement(
        estimands={
            **estimands,
            "wider": float(with_bonus),
            "wider_again": float(again),
            "gain_of_bonus": float(gain_of_bonus),
            "gain_again": float(gain_again),
        },
        tables={"returns": rows, "laws": laws},
    )


@dataclass(frozen=True)
class _Found:
    returns: dict[str, Floats]  # by what the policy was trained on
    nearer: dict[str, float]  # log of how many times nearer than the middle of the bounds
    wider: tuple[float, float]  # mean log deviation gained by the bonus, and by a second search
    laws: Table


def _meet(settings: Settings, task: str, seeds: Seeds, trained: Callable[[Randomisation, str], Any]) -> _Found:
    """One system; `trained` makes a policy of a law, N_TRAININGS times."""
    from assay.studies.learners.offline_domain_randomization.ppo_policies import evaluate_policy, record_policy

    described = TASKS[task]
    low, high = (np.array([getattr(p, side) for p in described.parameters]) for side in ("low", "high"))
    truth = np.array(described.usual) * seeds("truth").uniform(0.8, 1.2, len(low))
    other = low + high - truth  # as far to the other side of the middle
    uniform = uniform_randomisation(described.parameters)
    first = trained(uniform, "uniform")

    def real(xi: Floats) -> Any:
        return lambda seed: make_env(task, sampler=lambda _: xi, seed=seed, friction=True)

    data, strange = (
        record_policy(first, real(xi), settings.records, noise=0.5, seed=_seed(seeds, f"record {name}"))
        for name, xi in (("real", truth), ("other", other))
    )
    engine = MujocoSimulator(described)
    fits = {
        "fitted": _fit(settings, engine, data, 0.0, seeds("search")),
        "fitted, bonus": _fit(settings, engine, data, settings.bonus, seeds("search")),
        "fitted to another system": _fit(settings, engine, strange, 0.0, seeds("search")),
    }
    second = _fit(settings, engine, data, 0.0, seeds("second search"))
    policies = {"uniform": first} | {name: trained(fit.law, name) for name, fit in fits.items()}
    policies["fitted again"] = trained(fits["fitted"].law, "fitted again")
    returns = {
        name: evaluate_policy(policy, real(truth), settings.n_episodes, seed=_seed(seeds, "judge"))
        for name, policy in policies.items()
    }

    def distance(mean: Floats) -> float:
        return float(np.linalg.norm((mean - truth) / (high - low)))

    def log_sd(fit: Fit) -> float:
        return float(np.log(fit.law.sd).mean())

    rows: Table = [
        {
            "system": task,
            "law": name,
            "parameter": parameter.name,
            "mean": float(fit.law.mean[i]),
            "deviation": float(fit.law.sd[i]),
            "truth": float(truth[i]),
        }
        for name, fit in fits.items()
        for i, parameter in enumerate(described.parameters)
    ]
    return _Found(
        returns,
        {name: math.log(distance(uniform.mean) / distance(fit.law.mean)) for name, fit in fits.items()},
        (log_sd(fits["fitted, bonus"]) - log_sd(fits["fitted"]), log_sd(second) - log_sd(fits["fitted"])),
        rows,
    )


def _fit(settings: Settings, engine: MujocoSimulator, data: Transitions, bonus: float, rng: np.random.Generator) -> Fit:
    fit_settings = FitSettings(
        n_draws=settings.n_draws, noise_floor=settings.noise_floor, entropy_bonus=bonus, budget=settings.fit_budget
    )
    return fit_randomisation(engine, data, fit_settings, rng=rng)


def _train(
    task: str, law: Randomisation, training: "PPOSettings", seeds: Seeds, name: str, tell: Callable[[float], None]
) -> Any:
    from assay.studies.learners.offline_domain_randomization.ppo_policies import train_ppo

    def make(seed: int) -> Any:
        return make_env(task, sampler=lambda rng: law.sample(1, rng=rng)[0], seed=seed)

    return train_ppo(make, training, seed=_seed(seeds, f"train {name}"), on_progress=tell)


def _seed(seeds: Seeds, name: str) -> int:
    return seeds.integer(name) % 2**31


EXPERIMENT = Experiment(
    "mujoco",
    question="Does a fitted law help a trained policy on a real pendulum and a real hopper?",
    cost="15 min on two cores",
    claims=CLAIMS,
    presets={
        "quick": Preset(
            Settings(records=2, fit_budget=10, n_draws=2, pendulum_steps=16, hopper_steps=16, rollout=2, n_episodes=1),
            2,
        ),
        "laptop": Preset(Settings(), 4),
    },
    measure=measure,
    needs={"cma": "rl", "gymnasium": "rl", "mujoco": "rl", "stable_baselines3": "rl"},
    figures=(
        Figure(
            "returns",
            title="Trained in simulation, judged on the real system",
            caption="Return on a real pendulum and a real hopper of policies trained on simulators drawn from four laws: all "
            "in the bounds, fitted to twenty transitions of the real system, the same with an entropy bonus, and "
            "fitted to another system.",
            chart=Bars(
                "returns",
                x="trained_on",
                y="return",
                panel="system",
                y_label="return on the real system",
            ),
        ),
    ),
)
