"""What is claimed, of which numbers, and what is run to decide it."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Equals, Within
from assay.claims.study import Experiment, Preset
from assay.protocols.language_model import NEEDS, find_model
from assay.studies.knowledge.priming_outlandish.figures import DILUTION_FIGURES, LANGUAGE_MODEL_FIGURES, PRIMING_FIGURES
from assay.studies.knowledge.priming_outlandish.settings import DilutionSettings, LanguageModelSettings, PrimingSettings

__all__ = ["DILUTION", "LANGUAGE_MODEL", "PRIMING"]

PREDICTING = "Does a text's surprise say what it will prime, and where does priming go?"
DILUTING = "Can priming be cut while the text is learned?"
LANGUAGE = "Does priming, and what cuts it, hold in a pretrained language model?"

RHO = "rank correlation of S_prime with log P of the keyword in its text before"
LESS = (
    "the same of a frozen network with trained biases, at equal median S_mem (to which the network's change is scaled down as "
    "a whole where biases reach no more)"
)
AGREED = "at equal P of the keyword after the text's original prompt"
BIAS = Arm("bias", "a second frozen network with trained biases, of other plain rows, in the place of the network")
PLANTED = Arm(
    "planted", "a rank correlation stronger by twice the bound, put into the scores of the second bias arm", power_only=True
)
LAW = Arm(
    "planted",
    "a network that is told the keyword in up to four further contexts of its theme as well, in more of them the more "
    "surprising the text is",
)
SECTION_PREDICT, SECTION_ROBUST, SECTION_DILUTE = "figure 2", "figures 3 and 13 to 16", "figures 5, 6 and 25 to 28"

EXCESS = Estimand("excess", f"{RHO}, less {LESS}", "", -2, 2)
THEME_GAP = Estimand(
    "theme_gap",
    "S_prime in contexts of the keyword's theme minus in contexts of others, paired by log10 P before within 0.3; median over "
    "keywords", "times", log="10",
)  # fmt: skip
OPEN_GAP = Estimand(
    "theme_gap",
    "S_prime in contexts of the keyword's theme minus in contexts of other themes or of none, paired by log10 P before within "
    "0.3; median over keywords, of the texts that have two such pairs", "times", log="10",
)  # fmt: skip
CONTEXT_GAP = Estimand(
    "context_gap", f"size of the {RHO}, after training minus with the text in front of the prefix", "", -1, 1
)
STONE_GAP = Estimand(
    "stone_gap",
    f"S_prime of the text as it is minus that of its rewrite, {AGREED}, for which the change that gives it more is scaled down "
    "as a whole; median over keywords", "times", log="10",
)  # fmt: skip
STEP_GAP = Estimand(
    "step_gap", f"S_prime of the pruned change minus that of the whole one scaled down, {AGREED}; median over keywords",
    "times", log="10",
)  # fmt: skip

PRIMING = Experiment(
    "priming",
    question="Does the keyword's probability in its text say what the text will prime, and where does priming go?",
    family=PREDICTING,
    estimands=(
        EXCESS,
        Estimand("excess_everywhere", f"largest excess over widths and stages: {RHO}, less {LESS}", "", -2, 2),
        Estimand("excess_spaced", f"largest excess over schedules of presentations: {RHO}, less {LESS}", "", -2, 2),
        Estimand(
            "knee_excess",
            "share of a straight line's squared error in S_prime on log10 P before that a knee removes on held-out keywords, "
            f"none where it adds error, less {LESS}", "",
        ),
        THEME_GAP,
        CONTEXT_GAP,
        Estimand(
            "second_text", "S_prime of a text with something else in the next row minus with the plain text there; median over "
            "keywords", "times", log="10",
        ),
        Estimand(
            "kernel",
            "partial rank correlation, over texts and prefixes, of the gradient product of text and prefix before with the "
            "change in log P of the keyword behind the prefix, given that of the bias arm and log P before; less the same with "
            "gradients of another text of the theme", "", -2, 2,
        ),
    ),
    claims=(
        Claim(
            "C1.excess",
            "Surprise predicts priming beyond what a bias shows: the rank correlation of S_prime with the keyword's log P in "
            "its text before is more negative in a network than in biases of a frozen one by a difference below {bound}.",
            "network/excess", Below(-0.15), why="half of what a bias shows with plain gradient descent, -0.30 to -0.52",
            at=SECTION_PREDICT, paper="the most robust of all predictors",
            negative=BIAS, positive=LAW,
        ),
        Claim(
            "C1.holds",
            "Surprise predicts priming in networks of every size and stage: over widths 32, 64 and 96 and after 500, 1,000 and "
            "2,000 steps the largest excess of the rank correlation over that of biases is below {bound}.",
            "network/excess_everywhere", Below(-0.1), why="the largest of five is asked less than one alone",
            at=SECTION_ROBUST, paper="the same relation in every model, size and stage",
            negative=BIAS, positive=LAW,
        ),
        Claim(
            "C2",
            "Priming sets in at a threshold: on held-out keywords a knee removes a share of a straight line's squared error "
            "that is larger in a network than in biases of a frozen one by more than {bound}.",
            "network/knee_excess", Above(0.05), why="a twentieth of the error; two slopes fitted to a line remove none",
            at=SECTION_PREDICT, paper="a threshold near 1e-3",
            negative=Arm("straight", "a straight line with the network's slope and residuals"),
            positive=Arm("knee", "a network told the keyword in four further contexts beside the least likely third of texts"),
        ),
        Claim(
            "C3",
            "Surprise predicts priming on every schedule: over 10 presentations 1 and 5 steps apart and 3 presentations 20 "
            "steps apart the largest excess of the rank correlation over that of biases is below {bound}.",
            "network/excess_spaced", Below(-0.1), why="as C1.holds", at="figure 3",
            paper="with spacing, and after three presentations",
            negative=BIAS, positive=LAW,
            related="C1.holds is about networks, C3 about schedules; one of their settings is the same",
        ),
        Claim(
            "C4",
            "Priming is of the theme: in contexts of the keyword's own theme S_prime is more than {bound:.3g} times that in "
            "contexts of other themes with equal P before.",
            "network/theme_gap", Above(0.2), why="a bias primes all contexts of equal P alike; 0.2 powers of ten is 1.6 times",
            at="section 3", paper="stronger within the theme, there across themes",
            negative=Arm("bias", "a frozen network with trained biases"),
            positive=Arm("planted", "twice the bound added to the bias arm's scores", power_only=True),
        ),
        Claim(
            "C5",
            "In context the law is weaker: the size of the rank correlation of S_prime with log P before is larger after "
            "training than with the text in front of the prefix by more than {bound}.",
            "network/context_gap", Above(0.1), why="a correlation of 96 texts has a standard error of 0.1",
            at="section 4.3, figure 22", paper="much weaker",
            given="median priming in context above 0.1 powers of ten",
            negative=Arm("rewording", "in context as well, the text in another wording"),
            positive=Arm("planted", "in context, with a correlation stronger by twice the bound", power_only=True),
            null_passes="biases are trained, and a bias shows the law (C1): what the network adds is C1.excess",
        ),
        Claim(
            "C8",
            "Texts of different themes prime independently: a second text of another theme changes S_prime by a factor between "
            "{low:.4f} and {high:.4f}.",
            "network/second_text", Within(-0.1, 0.1), why="half of what a second text of the theme must change",
            at="figure 17", paper="independent",
            given="priming by a text alone above 0.5 powers of ten that a second text of its theme changes by 0.2",
            negative=Arm("same-theme", "a second text of the keyword's theme"),
            positive=Arm("another-plain", "another plain text in that row"),
            null_passes="biases of different words are independent of each other; that there is something to change is given",
        ),
        Claim(
            "kernel",
            "Gradients say before training which prefixes a text primes: given what biases do and P before, the rank "
            "correlation of the gradient product with the change in log P after ten steps is higher than with gradients of "
            "another text of the theme by more than {bound}.",
            "network/kernel", Above(0.2), why="a predictor that is worth a text's own gradients", at="ours",
            negative=Arm("another-text", "gradients of a third text of the theme in the place of the text's own"),
        ),
    ),
    nulls=(
        Arm(
            "bias", "a frozen network with trained biases", lacks=("second_text",),
            why="asked of a text alone and beside a second one: at this rate no network primes enough for it in any run",
        ),
    ),
    exact=(
        Exact(
            "X.bias", "One step of gradient descent on a bias a word gives S_mem and S_prime in closed form, to {bound}.",
            Below(1e-6), why="the step adds the rate to the keyword and takes the rate times P from every word", at="ours",
            unit="powers of ten",
        ),
        Exact(
            "X.product",
            "A small step of gradient descent on a text changes log P behind a prefix by the rate times their gradient "
            "product: slope {value}.",
            Equals(1.0, 0.02), why="the first term of a Taylor series", at="ours",
        ),
    ),
    check=f"{__package__}.exact:check",
    presets={
        "quick": Preset(
            PrimingSettings(
                d_model=16, n_layers=1, warm_up=30, stages=(10, 20), widths=(8,), n_keywords=8, n_few=8, n_prefixes=4,
                n_presentations=3, n_fewest=2, far=3, spaced=2,
            ), 2),
        "laptop": Preset(PrimingSettings(), 12),
    },
    measure=f"{__package__}.priming:measure",
    figures=PRIMING_FIGURES,
    cost=Cost(22, cores=1),
)  # fmt: skip

DILUTION = Experiment(
    "dilution",
    question="Do a phrase that leads up to the keyword, and leaving out the largest changes, prime less for what is learned?",
    family=DILUTING,
    estimands=(
        STONE_GAP,
        Estimand(
            "fall_excess",
            "fall of S_prime when entries of the change are left out, minus the fall of log10 P of the keyword after the "
            "text's original prompt; median over keywords", "times", log="10",
        ),
        STEP_GAP,
    ),
    claims=(
        Claim(
            "C6",
            "A stepping stone dilutes: at equal P of the keyword after the original prompt a text as it is primes more than "
            "{bound:.4g} times as much as with a description of the keyword right before it.",
            "network/stone_gap", Above(0.3), why="half of the priming, the least the paper reports", at=SECTION_DILUTE,
            paper="75 % less in one family, about 50 % in two",
            negative=Arm("elsewhere", "the description at the beginning of the text"),
            positive=Arm("planted", "twice the bound added to the scores of that", power_only=True),
        ),
        Claim(
            "C7.k",
            "Leaving out the largest changes cuts priming more than memory: without the largest 8 % of every weight's change "
            "S_prime falls by a factor more than {bound:.4g} times that by which P of the keyword after its prompt falls.",
            "largest/fall_excess", Above(0.3), why="half of the priming at no cost in memory, the least the paper reports",
            at=SECTION_DILUTE, paper="median priming falls by 50 to 96 %, memory stays",
            negative=Arm("random", "a random 8 % left out"),
            positive=Arm("planted", "a change whose largest 8 % hold a bias of the theme"),
        ),
        Claim(
            "C7.step",
            "Leaving out the largest changes is more than a smaller step: at equal P of the keyword after its prompt the "
            "pruned change primes less than {bound:.4g} times as much as the whole one scaled down.",
            "largest/step_gap", Below(-0.1), why="a fifth of the priming, and twice what our audit found with the other sign",
            at=SECTION_DILUTE, paper="median priming falls by 50 to 96 %, memory stays",
            negative=Arm("random", "a random 8 % left out"),
            positive=Arm("planted", "a change whose largest 8 % hold a bias of the theme"),
        ),
    ),
    nulls=(
        Arm(
            "bias", "a frozen network with trained biases", lacks=("step_gap",),
            why="the keyword's bias is among the largest: without it the keyword is less likely than before",
        ),
    ),
    presets={
        "quick": Preset(DilutionSettings(d_model=16, n_layers=1, warm_up=30, n_few=8, n_prefixes=4, n_presentations=3), 2),
        "laptop": Preset(DilutionSettings(), 12),
    },
    measure=f"{__package__}.dilution:measure",
    figures=DILUTION_FIGURES,
    cost=Cost(5, cores=1),
)  # fmt: skip

LANGUAGE_MODEL = Experiment(
    "language-model",
    question="What does SmolLM2 say after one short text in English, and do the remedies help there?",
    family=LANGUAGE,
    estimands=(EXCESS, OPEN_GAP, CONTEXT_GAP, STONE_GAP, STEP_GAP),
    claims=(
        Claim(
            "C1.excess.lm",
            "In a language model surprise predicts priming beyond what a bias shows: the rank correlation of S_prime with the "
            "keyword's log P in its text before is more negative than with biases of the frozen model by a difference below "
            "{bound}.",
            "network/excess", Below(-0.15), why="as C1.excess", at=SECTION_PREDICT, paper="the most robust of all predictors",
            negative=BIAS, positive=PLANTED,
        ),
        Claim(
            "C4.lm",
            "In a language model priming is of the theme: in contexts of the keyword's own theme S_prime is more than "
            "{bound:.3g} times that in contexts of other themes or of none with equal P before.",
            "network/theme_gap", Above(0.2), why="as C4", at="section 3", paper="stronger within the theme",
            negative=Arm("bias", "the frozen model with trained biases"),
            positive=Arm("planted", "twice the bound added to the bias arm's scores", power_only=True),
        ),
        Claim(
            "C5.lm",
            "In a language model the law is weaker in context: the size of the rank correlation of S_prime with log P before "
            "is larger after training than with the text in front of the prefix by more than {bound}.",
            "network/context_gap", Above(0.1), why="as C5", at="section 4.3, figure 22", paper="much weaker",
            given="median priming in context above 0.1 powers of ten",
            negative=Arm("rewording", "in context as well, behind other words of introduction"),
            positive=Arm("planted", "in context, with a correlation stronger by twice the bound", power_only=True),
            null_passes="biases are trained, and a bias shows the law (C1): what the model adds is C1.excess.lm",
        ),
        Claim(
            "C6.lm",
            "In a language model a stepping stone dilutes: at equal P of the keyword after the original prompt the least "
            "likely texts as they are prime more than {bound:.4g} times as much as with a description of the keyword right "
            "before it.",
            "network/stone_gap", Above(0.3), why="as C6", at=SECTION_DILUTE, paper="75 % less in one family, about 50 % in two",
            negative=Arm("elsewhere", "the description in a sentence in front of the text"),
            positive=Arm("planted", "twice the bound added to the scores of that", power_only=True),
        ),
        Claim(
            "C7.step.lm",
            "In a language model leaving out the largest changes is more than a smaller step: at equal P of the keyword after "
            "its prompt the pruned change primes less than {bound:.4g} times as much as the whole one scaled down.",
            "largest/step_gap", Below(-0.1), why="as C7.step", at=SECTION_DILUTE,
            paper="median priming falls by 50 to 96 %, memory stays",
            negative=Arm("random", "a random 8 % left out"),
            positive=Arm("planted", "twice the bound added to the scores of that", power_only=True),
        ),
    ),
    nulls=(
        Arm(
            "bias", "the frozen model with trained biases", lacks=("step_gap",),
            why="the keyword's bias is among the largest: without it the keyword is less likely than before",
        ),
    ),
    presets={
        "quick": Preset(
            LanguageModelSettings(
                model="tiny", n_keywords=4, n_texts=1, n_stones=2, n_presentations=2, n_prefixes=2, rate=1e-2, n_blocks=2,
                n_cuts=3,
            ), 2),
        "laptop": Preset(LanguageModelSettings(), 8),
    },
    measure=f"{__package__}.language_model:measure",
    ready=find_model,
    needs=NEEDS,
    figures=LANGUAGE_MODEL_FIGURES,
    cost=Cost(45, cores=1),
)  # fmt: skip
