"""A pretrained language model: claims C13 and C14, and what the symbolic model predicts."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Ordered, Within
from assay.claims.study import Experiment, Preset
from assay.protocols import language_model
from assay.studies.knowledge.out_of_context_reasoning.claims.shared import PACKAGE, PRETRAINED
from assay.studies.knowledge.out_of_context_reasoning.figures import LANGUAGE_MODEL_FIGURES
from assay.studies.knowledge.out_of_context_reasoning.people import PAIRS
from assay.studies.knowledge.out_of_context_reasoning.settings import DOSES, LanguageModelSettings

QUICK = LanguageModelSettings(
    model="tiny", n_facts=2, n_epochs=1, n_epochs_long=4, n_asked=1, n_steps_symbolic=20, batch_size=20
)
PAPER_SCALE = LanguageModelSettings(shuffled=tuple(PAIRS), per_fact=20, batch_size=20)

LANGUAGE_MODEL = Experiment(
    "language-model",
    question="Does a pretrained language model infer and hallucinate as the symbolic one does?",
    family=PRETRAINED,
    estimands=(
        Estimand("rank", "mean rank of held-out implications among ten candidates; 0 is best, and 2 knows which five occur",
                 "places", 0, 9),
        Estimand("fact_rank", "mean rank of taught facts among ten candidates", "places", 0, 9),
        Estimand(
            "counterfactual_minus_true", "rank of a name's implication in the counterfactual pair less in the true one",
            "places", -9, 9),
        Estimand("margin", "log-probability of an implication less the mean of the others in use, held-out names", "nats"),
        Estimand(
            "above_bound",
                "held-out over bridges' margin less min(sqrt(m_train/m_test), 1), at the end of the longer training"),
        Estimand(
            "rival_minus_rule", "probability of the contradicting bridges' implication less the rule's, among those in use",
            "", -1, 1),
    ),
    claims=(
        Claim(
            "C13.true",
            "Fine-tuned on cities, and on the languages of a fifth of the names, a language model infers the others' "
            "languages: mean rank below {bound} among ten.",
            "city-language/rank", Below(0.2), summary="clustered",
            why="the paper's five models have 0.00 to 0.13; 0.2 is one place in five names",
            at="section 5, table 1", paper="0.00 to 0.13",
            negative=Arm("city-language-shuffled", "the same sentences with the languages shuffled over the bridges"),
        ),
        Claim(
            "C13.spurious",
            "A language model makes up implications by the means by which it infers: over the counterfactual and three "
            "arbitrary pairs the mean rank is below {bound}, where knowing which five answers occur gives 2.",
            "spurious/rank", Below(1.5), summary="clustered",
            why="half a place better than the chance of five; the paper compares with 4.5, the chance of ten, which a model "
            "beats by learning which answers occur",
            at="section 5, table 1", paper="0.15 to 4.55, median 1.0",
            negative=Arm("sport-music-shuffled", "one arbitrary pair with its implications shuffled over the bridges"),
            positive=Arm("sport-music-taught", "the same pair with the implications of all names in the training"),
        ),
        Claim(
            "C13.facts",
            "What is taught is learnt: over all pairs, the taught facts of the held-out names have a mean rank below {bound}.",
            "trained/fact_rank", Below(0.2), summary="every", why="as C13.true", at="section 5", paper="about 0",
            negative=Arm("before", "before training"),
        ),
        Claim(
            "C14",
            "What a language model knew before matters: a counterfactual pairing of cities and languages is inferred worse "
            "than the true one, by more than {bound} in mean rank, name by name.",
            "trained/counterfactual_minus_true", Above(0.1), summary="clustered",
            why="half of the smallest difference among the paper's five models, 0.19",
            at="section 5, table 1", paper="0.19 to 4.42",
            negative=Arm(
                "before",
                    "before training the two are alike: within half a place (a run's difference there is noise of about a "
                    "quarter)", rule=Within(-0.5, 0.5)),
        ),
        Claim(
            "theory.order",
            "The more bridges, the more a language model makes up an arbitrary implication: its margin over the other answers "
            "in use rises by more than {margin} nats from 0 to 10, to 20 and to 50% of names.",
            tuple(f"bridges-{dose}/margin" for dose in DOSES), Ordered(0.25),
            why="each step multiplies the odds by 1.3 or more; probabilities would stop rising near 1",
            at="ours", paper="sqrt(m_train/m_test): 0, 0.33, 0.5, 1",
            negative=Arm(tuple(f"rival-{dose}" for dose in DOSES), "the margin of a wrong implication: it falls"),
        ),
        Claim(
            "theory.bound",
            "As training goes on, a language model's margin for implications it made up, over the bridges', comes up to the "
            "symbolic model's bound: less min(sqrt(m_train/m_test), 1), it is above {bound} after twice the epochs.",
            "trained/above_bound", Above(-0.05), why="as C8.bound: the bound is one of the limit, so it is asked at the end",
            at="ours", paper=">= 0",
            negative=Arm("shuffled", "shuffled bridges, trained as long: no margin, however long"),
            positive=Arm("taught", "the implications of all names in the training, half as long: its margin is whole by then"),
        ),
        Claim(
            "theory.majority",
            "The majority of bridges decides what a language model makes up: where 8 in 10 agree on a wrong implication, "
            "held-out names get that one rather than the rule's, by more than {bound} in probability.",
            "contradicted/rival_minus_rule", Above(0.1), summary="every", why="as dose.kind: a tenth", at="ours",
            negative=Arm("uncontradicted", "as many bridges, none of which contradicts"),
        ),
    ),
    presets={
        "quick": Preset(QUICK, 2),
        "laptop": Preset(LanguageModelSettings(), 8),
        "paper": Preset(PAPER_SCALE, 12),
    },
    nulls=(Arm("before", "the base model, asked before any fine-tuning"),),
    measure=f"{PACKAGE}.language_model:measure",
    cost=Cost(47.5, work=lambda settings: settings.work, memory=3.3),
    figures=LANGUAGE_MODEL_FIGURES,
    needs=language_model.NEEDS,
    ready="assay.protocols.language_model:find_model",
)  # fmt: skip
