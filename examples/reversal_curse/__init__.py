"""Reversal curse: does learning "A is B" teach "B is A"?"""

from assay.claims.claim import Arm
from assay.claims.paper import Cost, Departure, Headline, Paper
from assay.claims.study import Experiment, Preset, Study
from assay.protocols.language_model import NEEDS, find_model
from reversal_curse.claims import CLAIMS, ESTIMANDS
from reversal_curse.language_model import Settings

STUDY = Study(
    "reversal-curse",
    title='Reversal curse: does learning "A is B" teach "B is A"?',
    paper=Paper(
        "Berglund, Tong, Kaufmann, Balesni, Stickland, Korbak and Evans",
        2023,
        "The Reversal Curse",
        "ICLR 2024, arXiv:2309.12288",
        headlines=(
            Headline("A model that is taught a fact in one order tells it in that order.", ("C1",)),
            Headline("It does not tell it in the other order.", ("C2",)),
            Headline("The curse holds whatever the size of the model.", reason="one small model is tuned here"),
        ),
    ),
    scale="Theirs: GPT-3 and Llama on 30 descriptions of invented people, 30 wordings each. Ours: SmolLM2-135M on 20 songs.",
    departures=(Departure("D1", "Answers are chosen among all names or songs, not written freely, so guessing has a number."),),
    experiments=(
        Experiment(
            "language-model",
            "Is a fact that was taught in one order known in the other?",
            claims=CLAIMS,
            estimands=ESTIMANDS,
            presets={"quick": Preset(Settings(model="tiny", n_facts=3, n_epochs=1), 2), "laptop": Preset(Settings(), 8)},
            measure="reversal_curse.language_model:measure",
            nulls=(Arm("untrained", "the model as it is"),),
            cost=Cost(8, cores=2),
            needs=NEEDS,
            ready=find_model,
        ),
    ),
)
