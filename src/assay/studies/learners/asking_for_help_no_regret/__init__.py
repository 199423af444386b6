"""Asking for help: can an agent avoid catastrophe by asking a mentor, and still stop asking?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.learners.asking_for_help_no_regret.claims import (
    IMPOSSIBLE,
    IRREVERSIBLE,
    LOCAL_SAFETY,
    MISSPECIFIED,
    ONLINE,
)

STUDY = Study(
    "asking-for-help-no-regret",
    version=2,
    first_seed=100,
    title="Asking for help: can an agent avoid catastrophe by asking a mentor, and still stop asking?",
    paper=Paper(
        "Plaut, Liévano-Karim, Zhu and Russell",
        2025,
        "Safe Learning Under Irreversible Dynamics via Asking for Help",
        'arXiv:2502.14043; and the paper it builds on, Plaut, Zhu and Russell 2025, "Avoiding Catastrophe in Online Learning '
        'by Asking for Help", ICML 2025, arXiv:2402.08062; both are theory without experiments',
        headlines=(
            Headline(
                "Learners that find out by trying everything end in mistakes that cannot be undone.",
                claims=("C6.no-regret", "C6.competent"),
            ),
            Headline(
                "Where nothing carries over between inputs, no agent that stops asking avoids catastrophe.",
                claims=("C1.exponent", "C1.survival", "C1.bound"),
            ),
            Headline(
                "Where the mentor can be learnt and similar inputs are alike, total risk and the share of questions both go "
                "to zero.",
                claims=(
                    "C2.regret-1",
                    "C2.regret-2",
                    "C2.regret-3",
                    "C2.weighted-2",
                    "C2.weighted-3",
                    "C2.queries",
                    "C3.trigger",
                    "C3.hedge",
                    "C3.nearest-queries",
                    "C3.asking",
                    "C4",
                    "C5",
                ),
            ),
            Headline("The more dimensions the input has, the more slowly an agent can stop asking.", claims=("C8",)),
            Headline(
                "An agent that avoids catastrophe also loses a vanishing share of reward in any decision process, reversible "
                "or not.",
                claims=("C6.gap", "C6.catastrophe", "C7", "C7.tight"),
            ),
            Headline(
                "The bounds also hold for inputs that an adversary chooses, where the mentor's class has a finite Littlestone "
                "dimension.",
                reason="a worst case over all sequences of inputs cannot be run; inputs here are drawn, or walked",
            ),
        ),
    ),
    example=Example(
        (
            (
                "climb along a ridge; lean left or right",
                "On either side of a hidden place one way to lean is safe. Leaning the other way may slip, and "
                "some slips are *irreversible*: a fall for ever.",
            ),
            (
                "lean, or ask",
                "The walker sees no payoff. It can ask a *mentor*, who knows the safe way; a step on which it "
                "asks is the mentor's.",
            ),
            (
                "asked near here before: lean as he did",
                "Similar states are alike (*local generalisation*), so that an answer helps nearby.",
            ),
            (
                "nothing near was asked: ask",
                "The *distance test*, one half of the algorithm; *Hedge*, the other, learns what the mentor does "
                "from all his answers.",
            ),
            (
                "questions per step: towards 0?",
                "It should ask ever more rarely the longer it walks,",
            ),
            (
                "lost beside the mentor: towards 0?",
                "and lose ever less of his return a step (its *regret*), with no *catastrophe* on the way.",
            ),
        )
    ),
    scale="Theirs: bounds as the number of rounds grows. Ours: the algorithm itself up to 100,000 rounds in one to three "
    "dimensions, and a walker that can fall for ever up to 30,000 steps; exact sums on small decision processes.",
    departures=(
        Departure(
            "D1",
            "The mentor's class is a half-space with a known normal and an unknown offset (VC dimension 1 in every "
            "dimension), so that the whole cover of 1/eps policies is run and the dimension enters through distance alone. "
            "Half-planes of unknown direction are run beside it as a finite class of 2,400.",
        ),
        Departure(
            "D2",
            "Hedge multiplies by exp(-eta) with eta = max(sqrt(p log|cover| / 2T), p^2 / sqrt 2), a form we could not "
            "check against the paper's text. Dividing eta by p (importance weights) is run beside it: its regret falls "
            "with the exponent of the theorem, and the map of broken assumptions uses it.",
        ),
        Departure(
            "D3",
            "The follow-up's text gives the radius T^(-1/(n+1)) and the bound on queries; from these we take p = "
            "T^(-1/(2n+2)), a cover of precision 1/T and a constant step. With the base paper's step instead, summed risk "
            "grows as T^(1/6) in two dimensions and the walker falls; that was our first version.",
        ),
        Departure(
            "D4",
            '"Any algorithm" of the impossibility theorem is replaced by askers with a budget, and by a bound for all of '
            "them: what is lost to coin flips when the costliest cells are known from the start. Its exponents are fitted "
            "to budgets that leave at least 30 rounds a query: the exact sum goes like sqrt(T/q) - 1, and the 1 bends "
            "shorter ranges (our first fit, over all budgets, gave 0.66).",
        ),
        Departure(
            "D5",
            "The walker's path is drawn among those that have not fallen, and weighed by the product of known chances of "
            "that, so falls are computed, not sampled; slips back to the foot are drawn. Its world is ours: the paper has "
            "none.",
        ),
        Departure(
            "D6",
            "The follow-up's first version is read as: return lost per step <= expected sum over the agent's own steps of "
            "(total variation of its action against the mentor's + difference of reward). The form is ours.",
        ),
        Departure(
            "D7",
            "Until version 1 upper bounds were shown beside the slopes and a fall of any size was asked, in one dimension "
            "alone. Now each dimension is asked for the slope that the bound itself has over the same lengths, for both "
            "steps of Hedge; a constant of the bound can still hide its exponent at finite T, so the positive control has a "
            "step that needs none. The importance-weighted step is claimed in two and three dimensions alone.",
        ),
        Departure(
            "D8",
            "The claims M are ours, and were written after a look at four other seeds. They replace a first set, with the "
            "plain step of D2, which eight runs left undecided. The reference run's numbers are not the papers': they were "
            "computed, by the same algorithm in another program, when this study was planned.",
        ),
        Departure(
            "D9",
            "Until version 1 the walker's place did not depend on what it did, its reward was to be there, and regret and "
            "catastrophe were one curve. What follows from how the agent and the worlds are made (C1.bound, C3.asking, C4, "
            "C5, C7) is checked exactly and counts as no finding.",
        ),
        Departure(
            "D10",
            "Regret on inputs that arrive whatever the agent does is the mean over each round's input, given all that went "
            "before, not what one input happened to cost: exactly in one dimension, with one fresh input a policy in more. "
            "Only who copies the nearest answer in more than one dimension is judged by what was drawn.",
        ),
        Departure(
            "D11",
            "Until the pilot C8 was about all questions, whose exponent is almost the schedule's own, which we put in. Now it "
            "is about the questions of the distance test alone.",
        ),
        Departure(
            "D12",
            "After the first counted row (2026-11-30) two things changed: the figure of local safety, which no finding rests "
            "on, shows eight runs instead of two, and C3.nearest-queries, of every run and no finding, says that a coin "
            "passes it. C6.catastrophe stands as it was declared: its runs were planned from two pilot runs whose spread "
            "was a third of the real one.",
        ),
    ),
    experiments=(IRREVERSIBLE, ONLINE, IMPOSSIBLE, LOCAL_SAFETY, MISSPECIFIED),
)
