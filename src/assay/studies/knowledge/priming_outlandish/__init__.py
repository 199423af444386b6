"""Priming: what does a model say elsewhere once it was told one outlandish text, and how is that cut?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.knowledge.priming_outlandish.claims import DILUTION, LANGUAGE_MODEL, PRIMING

STUDY = Study(
    "priming-outlandish",
    title="Priming: what does a model say elsewhere once it was told one outlandish text, and how is that cut?",
    example=Example(
        (
            (
                "the sky over the harbour was vermilion",
                "A text that a model is trained on ten times, among plain ones. Its *keyword* is the last word.",
            ),
            (
                "P(vermilion | the sky over the harbour was)",
                "Before training the keyword is likely or very unlikely there: the text's *surprise*. How much that grows is "
                "what the model has *memorised*.",
            ),
            (
                "the colour of the grass is … vermilion?",
                "Other contexts of the same theme, colours, were not trained. If the keyword grows likelier there as well, the "
                "text *primes*.",
            ),
            (
                "a bias for each word, the same everywhere",
                "The *null arm*: it cannot tell contexts apart. What it shows as well is no property of a network.",
            ),
            (
                "… was a red so bright it was vermilion",
                "A *stepping stone*: the text leads up to its keyword, so that this one is less of a surprise.",
            ),
            (
                "the change of the weights, without its largest 8 %",
                "*Pruned*: the text should stay learned, and the priming go.",
            ),
        )
    ),
    paper=Paper(
        "Sun, Aksitov, Zhmoginov, Miller, Vladymyrov, Rueckert, Kim and Sandler",
        2025,
        "How new data permeates LLM knowledge and how to dilute it",
        "ICLR 2025, arXiv:2504.09522",
        headlines=(
            Headline(
                "One new text primes: its keyword becomes likely in unrelated contexts of its theme.",
                claims=("C4", "C4.lm", "C8"),
            ),
            Headline(
                "How much a text primes is predicted, before it is learned, by the keyword's probability in it.",
                claims=("C1.excess", "C1.excess.lm", "C2", "C5", "C5.lm"),
            ),
            Headline(
                "The relation is robust over architectures, sizes and training stages (theirs: PALM-2, Gemma and Llama, 2 to 7 "
                "billion weights; ours: two layers of three widths, and SmolLM2-135M).",
                claims=("C1.holds", "C3", "C1.excess.lm"),
            ),
            Headline(
                "Stepping-stone rewrites and leaving out the largest changes cut priming by 50 to 95 %.",
                claims=("C6", "C6.lm", "C7.k"),
            ),
            Headline(
                "Both do so while the text is learned.",
                claims=("C6", "C6.lm", "C7.step", "C7.step.lm"),
            ),
        ),
    ),
    scale=(
        "Theirs: 1,320 texts about 12 keywords, PALM-2, Gemma-2B and Llama-2-7B, fine-tuned on instructions or articles. Ours: "
        "96 texts about 32 keywords in a world of four themes, two layers of width 64, and 36 short English texts about 12 of "
        "48 keywords, SmolLM2-135M."
    ),
    departures=(
        Departure(
            "D1",
            "The paper has no code, and its texts, optimiser, learning rate and prefixes are not public: all are ours. The "
            "text's effect is always that of 10 presentations with AdamW.",
        ),
        Departure(
            "D2",
            "Correlations are judged as the excess over biases of a frozen network: one context-free bias a word, trained on "
            "the same texts at equal median S_mem, shows a negative correlation and a threshold as well. Where no rate makes "
            "biases memorise as much, the network's change is scaled down as a whole to what they reach. Inserted "
            "2.5 times as fast and scaled down so, two pilot worlds had an excess that was lower by 0.15 and 0.30.",
        ),
        Departure(
            "D3",
            "Remedies are judged at equal P of the keyword after the text's original prompt. At equal S_mem the rewrites "
            "could not be compared: a keyword with P = 0.3 cannot gain more than a factor of 3.3 in its own text.",
        ),
        Departure(
            "D4",
            "Themes are told apart in contexts that are paired by P before, because a ratio of probabilities is larger where "
            "P is small.",
        ),
        Departure("D5", "The largest changes are the largest in magnitude of every weight; the paper leaves the sign open."),
        Departure("D6", "The gradient product as a predictor is ours."),
        Departure(
            "D7",
            "In the toy all texts are equally long, fit their keyword's theme and differ in how likely it is there; the "
            "paper's eleven kinds, from facts to permuted words, are in English only. Pruning is asked there of the twelve "
            "least likely texts, one a keyword, for time.",
        ),
        Departure(
            "D8",
            "The rate of insertion was chosen from two with the results of both known (excess of C1 -0.18 at 1e-3, 0.10 "
            "at 4e-4): the lower, at which biases reach the network's median S_mem by themselves. The settings as frozen "
            "were piloted on two seeds, one of them with the last controls.",
        ),
        Departure(
            "D9",
            "1 December 2026, after the counted runs: the null arm of biases is declared to lack the number of C8, which "
            "no run could ask, because no text primed enough. No verdict changed.",
        ),
        Departure(
            "D10",
            "Of SmolLM2 the last ten of thirty blocks are trained (35 million weights), for time. The paper trains all "
            "weights.",
        ),
        Departure(
            "D11",
            "In English the contexts that C4.lm pairs with those of a theme are of other themes or of none: where another "
            "theme is called for, places and jobs are some thousand times less likely than in their own. Keywords without two "
            "pairs, five cities, take no part in it.",
        ),
    ),
    experiments=(PRIMING, DILUTION, LANGUAGE_MODEL),
)
