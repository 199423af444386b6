"""Offline domain randomisation: what do a few recorded transitions buy before a policy meets the real system?

Paper   Fickinger, Bendahi and Russell 2025, "Provable Sim-to-Real Transfer via Offline Domain Randomization",
        arXiv:2506.10133 (v1: bounds on the gap, E-DROPO; v2, "Statistical Guarantees for Offline Domain Randomization", ICLR
        2026: consistency). The fit is DROPO: Tiboni, Arndt and Kyrki 2023, Robotics and Autonomous Systems, arXiv:2201.08434.
Scale   Theirs: theorems, and contact-rich robots. Ours: linear responses, a spring and a cart-pole in closed form, families of
        decision processes solved exactly over beliefs, and a pendulum and a hopper in a physics engine.

"""

from assay.claims.study import Study
from assay.studies.offline_domain_randomization import collapse, consistency, gap, misfit, mujoco, transfer

STUDY = Study(
    "offline-domain-randomization",
    doc=__doc__ or "",
    experiments=(
        transfer.EXPERIMENT,
        collapse.EXPERIMENT,
        consistency.EXPERIMENT,
        gap.EXPERIMENT,
        misfit.EXPERIMENT,
        mujoco.EXPERIMENT,
    ),
)
