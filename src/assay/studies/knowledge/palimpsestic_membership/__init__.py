"""Palimpsestic membership: does a model, or a text, tell in which order the model's data were shuffled?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.knowledge.palimpsestic_membership.claims import LANGUAGE_MODEL, SMALL, TEXT

STUDY = Study(
    "palimpsestic-membership",
    title="Palimpsestic membership: does a model, or a text, tell in which order the model's data were shuffled?",
    paper=Paper(
        "Kuditipudi, Huang, Zhu, Yang, Potts and Liang",
        2025,
        "Blackbox Model Provenance via Palimpsestic Membership Inference",
        "NeurIPS 2025, arXiv:2510.19796",
        headlines=(
            Headline("Models remember training data seen later better.", claims=("C1", "C1.lm")),
            Headline(
                "Tested against the shuffled order, a p-value is exact whatever the data, the model or the reference are.",
                claims=("V.alone", "V.shuffle", "V.data", "V.garbage"),
            ),
            Headline("A reference model makes the test far more powerful.", claims=("C3", "C3.lm")),
            Headline(
                "Models stay traceable through fine-tuning (p at most 1e-8 for all but six of more than forty derivatives of "
                "open models of 1 to 12 billion weights; nothing of that size is trained here), and more weakly through "
                "distilling.",
                claims=("C5", "C5.lm", "C6.there", "C6.weaker"),
            ),
            Headline(
                "Text alone suffices: retraining the last phase needs few tokens, counting overlaps many.", claims=("C7", "C9")
            ),
            Headline(
                "How many texts a step holds hardly changes what is remembered of the order.", claims=("C8.small", "C8.large")
            ),
        ),
    ),
    example=Example(
        (
            (
                "text 17, text 3950, text 402, …",
                "Alice trains a model once over her texts, in an *order* that chance drew and that only she knows.",
            ),
            (
                "loss on the texts, first to last",
                "What came late is remembered a little better, as on a *palimpsest* the last writing lies on top:"
                " its *loss* (how much it surprises the model) is lower.",
            ),
            (
                "rank correlation of loss and order: −0.2?",
                "Of a model that has nothing to do with her order it is zero but for chance, whatever the texts "
                "are. So its *p-value* is exact.",
            ),
            (
                "loss, less another model's loss",
                "A *reference* model, trained in another order, takes away what makes a text hard for any model.",
            ),
            (
                "Bob fine-tunes Alice's model",
                "Is his still known to be hers? Also asked after *distilling*: a new model that learns from texts"
                " which hers wrote.",
            ),
            (
                "texts that Bob's model writes",
                "And if only its texts can be had: do they tell in which order she trained?",
            ),
        )
    ),
    scale=(
        "Theirs: Pythia and OLMo, 1 to 12 billion weights, trained on hundreds of billions of tokens in known orders, and "
        "small models on TinyStories. Ours: two layers of width 64 on 4,000 generated stories of 32 words, one pass, and "
        "SmolLM2-135M on 600 short texts."
    ),
    departures=(
        Departure(
            "D1",
            "The paper's body was not read; claims, settings and numbers are from its abstract, the released code and "
            "notebooks, and digests of the text.",
        ),
        Departure(
            "D2",
            "Stories come from a grammar whose content words fall off as one over their rank; an exact test needs nothing of "
            "the data. One pass at a rate of 1e-3 replaces 1 to 10 passes at 1e-5.",
        ),
        Departure(
            "D3",
            "Power is told by the rank correlation, not by p-values: log p is a function of it and of the number of texts. The "
            "batch size is compared at equal final loss for the same reason, on the line between two learning rates.",
        ),
        Departure(
            "D4",
            "The test among retrained models uses Student's t with the factor for the mean of k models. The released code "
            "divides by a deviation without either correction and reads the result as normal: with 9 models it rejects 12 % of "
            "true null hypotheses at 5 %.",
        ),
        Departure(
            "D5",
            "A place of a text counts one in all, shared among the occurrences of its longest sequence; in the paper each "
            "occurrence counts one. With 700 words the longest sequences are short, and their hundreds of occurrences would "
            "drown even a text that is copied whole.",
        ),
        Departure("D6", "Scores learned on a rehearsal are ours, and so is telling how much distilling weakens."),
        Departure(
            "D7",
            "Two models take turns: each is asked about its own order, as Alice's, while the other one stands for a model that "
            "knows nothing of it. A number that needs only these two is the mean of both turns, which halves the variance of "
            "chance at no cost.",
        ),
        Departure(
            "D8",
            "The negative control of C7 copies every second sentence of a text. One text in ten, as first planned, leaves the "
            "ratio near its bound of 10; one text in two did not fail clearly in the pilot. C9 asks for 2, not for the 0.5 of "
            "the plan, because two t statistics of nothing differ by 1.5. Both were settled before the first counted run.",
        ),
        Departure(
            "D9",
            "SmolLM2 is trained in the last ten of its thirty blocks, in bfloat16, at 1e-4. Five runs of all weights at 5e-5, "
            "15 minutes of a core each, were counted first: with 600 texts a control in one order has more spread by chance "
            "than the bound is high, so it is the mean over twenty orders now. As this was changed after counted rows, it is "
            "judged on seeds of its own; the log has what was found first.",
        ),
    ),
    experiments=(SMALL, TEXT, LANGUAGE_MODEL),
)
