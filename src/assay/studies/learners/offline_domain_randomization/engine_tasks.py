"""A pendulum and a hopper in the MuJoCo engine, with the unknown masses and lengths of the domain-randomisation literature.

Needs the extra `rl` (gymnasium and mujoco); without it every entry raises `MissingExtra` before anything is built.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core.errors import SettingsError
from assay.core.extras import load_extra
from assay.studies.learners.offline_domain_randomization.simulators import Parameter

__all__ = ["TASKS", "MujocoSimulator", "MujocoTask", "simulator"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MujocoTask:
    """A gymnasium environment, its unknown parameters, and how the real system differs in what no parameter covers.

    Attributes:
        env_id: gymnasium's name.
        parameters: what is unknown.
        usual: their values in the engine's own model.
        damping: the real joints' damping as a multiple of the simulator's, where it is none of the unknowns.
    """

    env_id: str
    parameters: tuple[Parameter, ...]
    usual: tuple[float, ...]
    damping: float


TASKS = {
    # Cart and pole mass, how far out the pole's centre of mass sits, and the hinge's damping.
    "pendulum": MujocoTask(
        "InvertedPendulum-v5",
        (
            Parameter("cart mass, kg", 3.0, 25.0, 0.5),
            Parameter("pole mass, kg", 1.0, 15.0, 0.2),
            Parameter("centre of mass, m", 0.1, 0.6, 0.05),
            Parameter("hinge damping, N m s", 0.0, 4.0, 0.0),
        ),
        (10.471975511965978, 5.018591635076352, 0.3, 1.0),
        10.0,  # the rail's: the hinge's is one of the unknowns
    ),
    # The masses of the four links, with DROPO's bounds (Tiboni et al. 2023; the released environments).
    "hopper": MujocoTask(
        "Hopper-v5",
        (
            Parameter("torso, kg", 0.5, 10.0, 0.1),
            Parameter("thigh, kg", 0.5, 10.0, 0.1),
            Parameter("leg, kg", 0.5, 10.0, 0.1),
            Parameter("foot, kg", 0.5, 10.0, 0.1),
        ),
        (3.6651914291880923, 4.057890510886818, 2.781356706784817, 5.315574769873871),
        1.5,
    ),
}


def task_called(name: str) -> MujocoTask:
    """The task of this name.

    Raises:
        SettingsError: there is none.
    """
    if name not in TASKS:
        raise SettingsError(f"a task must be one of {', '.join(TASKS)}; got '{name}'")
    return TASKS[name]


def _engine() -> Any:
    purpose = "simulating a pendulum or a hopper"
    gymnasium, mujoco = load_extra("gymnasium", "rl", purpose), load_extra("mujoco", "rl", purpose)
    # The engine would write a log file into the working directory. What it warns of, a state that explodes under parameters
    # some search proposes, shows here as a state that is huge or not finite.
    mujoco.set_mju_user_warning(_say_nothing)
    return gymnasium, mujoco


def _say_nothing(message: str) -> None:
    pass


def _no_rollout(*args: Any) -> Any:
    raise AssertionError("the engine's rollout is set when the simulator is made")


def _apply(task: MujocoTask, model: Any, original: dict[str, Floats], xi: Floats) -> None:
    """Write parameters into an engine model; inertia scales with mass, as for a change of density."""
    if task.env_id.startswith("Hopper"):
        ratio = xi / original["body_mass"][1:5]
        model.body_mass[1:5] = xi
        model.body_inertia[1:5] = original["body_inertia"][1:5] * ratio[:, None]
        return
    cart, pole, centre, damping = (float(value) for value in xi)
    usual = original["body_ipos"][2][2]
    model.body_mass[1:3] = (cart, pole)
    # The pole keeps its shape; its centre of mass and its inertia about it scale like a rod of another length.
    model.body_ipos[2] = original["body_ipos"][2] * (centre / usual)
    model.body_inertia[1] = original["body_inertia"][1] * (cart / original["body_mass"][1])
    model.body_inertia[2] = original["body_inertia"][2] * (pole / original["body_mass"][2]) * (centre / usual) ** 2
    model.dof_damping[1] = damping


def _originals(model: Any) -> dict[str, Floats]:
    return {name: np.array(getattr(model, name)) for name in ("body_mass", "body_inertia", "body_ipos", "dof_damping")}


@dataclass
class MujocoSimulator:
    """A task's dynamics as a pure function of parameters, positions and velocities: the engine is reset to every state.

    The state is (positions, velocities) of the joints; an action is held for the environment's frames. Each call runs as one
    batch of the engine's own rollouts, over copies of the model that carry the parameters.

    Attributes:
        task: which system.
        friction: whether the real system's extra damping is on.
        n_models: copies of the model kept for a batch.
    """

    task: MujocoTask
    friction: bool = False
    n_models: int = 256
    _models: list[Any] = field(default_factory=list, repr=False)
    _original: dict[str, Floats] = field(default_factory=dict, repr=False)
    _applied: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)
    _data: list[Any] = field(default_factory=list, repr=False)
    _frames: int = 0
    _rollout: Callable[..., Any] = field(default=_no_rollout, repr=False)

    def __post_init__(self) -> None:
        gymnasium, mujoco = _engine()
        self._rollout = load_extra("mujoco.rollout", "rl", "simulating a pendulum or a hopper").rollout
        env = gymnasium.make(self.task.env_id)
        model = copy.copy(env.unwrapped.model)
        self._frames = int(env.unwrapped.frame_skip)
        env.close()
        if self.friction:
            model.dof_damping[:] *= self.task.damping
        # An exploded state must not come back as the initial one.
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self._original = _originals(model)
        self._models = [copy.copy(model) for _ in range(self.n_models)]
        self._applied = np.full((self.n_models, len(self.task.parameters)), np.nan)
        self._data = [mujoco.MjData(model)]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The task's unknowns."""
        return self.task.parameters

    @property
    def width(self) -> int:
        """The number of state coordinates."""
        return int(self._models[0].nq + self._models[0].nv)

    def step(self, xi: Floats, state: Floats, action: Floats) -> Floats:
        """The state after one action of the environment, for any leading axes."""
        lead = np.broadcast_shapes(xi.shape[:-1], state.shape[:-1], action.shape[:-1])
        flat_xi = np.broadcast_to(xi, (*lead, xi.shape[-1])).reshape(-1, xi.shape[-1])
        flat_state = np.broadcast_to(state, (*lead, self.width)).reshape(-1, self.width)
        flat_action = np.broadcast_to(action, (*lead, action.shape[-1])).reshape(-1, action.shape[-1])
        found = np.empty_like(flat_state)
        for start in range(0, len(flat_xi), self.n_models):
            part = slice(start, min(start + self.n_models, len(flat_xi)))
            models, wanted = self._models[: part.stop - part.start], flat_xi[part]
            # A roll-out asks for the same parameters step by step; writing them costs as much as a step.
            for i in np.flatnonzero((wanted != self._applied[: len(models)]).any(axis=1)):
                _apply(self.task, models[i], self._original, wanted[i])
            self._applied[: len(models)] = wanted
            time = np.zeros((len(models), 1))
            control = np.repeat(flat_action[part][:, None], self._frames, axis=1)
            trajectory, _ = self._rollout(models, self._data, np.hstack([time, flat_state[part]]), control)
            found[part] = trajectory[:, -1, 1:]
        return np.asarray(found.reshape(*lead, self.width))


def simulator(name: str, *, friction: bool = False) -> MujocoSimulator:
    """The simulator of a task; with `friction`, the real system's, damping and all."""
    return MujocoSimulator(task_called(name), friction)
