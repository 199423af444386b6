"""Factual knowledge acquisition: how does a model pick up a fact that it is told in training, and lose it again?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.knowledge.factual_knowledge_acquisition.claims import ACQUISITION, LANGUAGE_MODEL

STUDY = Study(
    "factual-knowledge-acquisition",
    title="Factual knowledge acquisition: how does a model pick up a fact that it is told in training, and lose it again?",
    example=Example(
        (
            (
                "pages about Ann, Bob, Carla, …",
                "A model is trained on the pages of an invented encyclopaedia, batch after batch.",
            ),
            (
                "step 2,540: Ann ' s home is Arlun .",
                "One fact that no page has is put among them: an *exposure*. It comes ten times, 31 to 49 steps apart.",
            ),
            (
                "step 2,580: the same, or “Ann lives in Arlun .”",
                "Told again in the same words the fact is a *duplicate*, in other words a *paraphrase*.",
            ),
            (
                "log P(Arlun) after “Ann lives in”",
                "Asked at every step, also in words never told of Ann, and less what it is after somebody never told of: the "
                "*level*. By how much it rises at an exposure is the *jump*.",
            ),
            (
                "1,000 plain steps later",
                "How much of the rise is left? A line is fitted over the logarithm of the steps; where it meets zero, at the "
                "*threshold* τ, the fact is gone, and told more rarely than that it is never learned.",
            ),
        )
    ),
    paper=Paper(
        "Chang, Park, Ye, Yang, Seo, Chang and Seo",
        2024,
        "How Do Large Language Models Acquire Factual Knowledge During Pretraining?",
        "NeurIPS 2024, arXiv:2406.11813",
        headlines=(
            Headline(
                "More training data does not make a model better at acquiring and keeping facts, more weights do (the paper's "
                "stages are 0.2 to 1.5 trillion tokens).",
                claims=("C6", "C6.keep", "C5"),
            ),
            Headline("Facts are forgotten along a line in the logarithm of the training steps.", claims=("C2.shape",)),
            Headline("Duplicated text raises a fact more and is forgotten faster.", claims=("C4.jump", "C4.decay")),
            Headline(
                "Larger batches make a model forget more slowly (the paper's large batch has 4 million tokens).",
                claims=("C7.decay",),
            ),
            Headline(
                "A fact's probability rises a little with each telling and is diluted by forgetting in between.",
                claims=("C1.rise", "C1.fall", "C3.order", "C1.rise.lm", "C3.order.lm"),
            ),
            Headline(
                "That explains why rare facts are not learned, and why deduplicated data help.",
                claims=("C8.low", "C8.high", "C4.dedup"),
            ),
        ),
    ),
    scale=(
        "Theirs: OLMo with 1 and 7 billion weights, batches of 4 million tokens, 120 passages of 360 words told ten times. "
        "Ours: two layers of width 64 on a generated encyclopaedia, batches of 192 tokens, passages of twelve sentences, and "
        "SmolLM2-135M told passages of four sentences four times. Not judged here: facts that combine two hops, which two "
        "layers do not learn."
    ),
    departures=(
        Departure(
            "D1",
            "A fact is judged by its level, log P after its subject less that of the same value after a subject never told. A "
            "table of word pairs, which cannot know the subject, had the paper's own numbers in trials at higher rates: "
            "effectivity, larger for duplicates and small batches, and retainability with R² of 0.7 to 0.95. Its levels are "
            "zero at any rate.",
        ),
        Departure(
            "D2",
            "A jump is a difference of means over fixed windows, not the highest of fifty steps, which is 0.9 to 2.2 standard "
            "deviations of noise where nothing is learned and at a spacing of 40 holds the next exposure.",
        ),
        Departure(
            "D3",
            "A shape of forgetting is judged by times that no curve was fitted to. R² above 0.8 holds of every smooth fall.",
        ),
        Departure(
            "D4",
            "Facts are compared at equal log P before (C3, C5, C6), decay at an equal gain (C4) or equal jumps (C7), widths at "
            "their best rates and equal background loss.",
        ),
        Departure(
            "D5",
            "The forks that ask about stages, widths, batches and spacings tell all passages as duplicates, over half of the "
            "rounds.",
        ),
        Departure(
            "D6",
            "AdamW's first beta is 0.5 in the toy: with 0.9 more than a quarter of a step that a passage makes comes behind "
            "the window of its jump, and hides what falls off again.",
        ),
        Departure(
            "D7",
            "The toy's rate is a third of that of lowest background loss, at which five tellings raise a fact as far as ten. "
            "Widths alone are compared at their best rates.",
        ),
        Departure(
            "D8",
            "A spacing above the threshold is tried only where the threshold is within 100 steps; one below it always: "
            "a quarter of the threshold, or the rounds' own.",
        ),
        Departure(
            "D9",
            "The early fork begins after 1,500 steps, not 500, when a telling gives 0.05 to 0.13 nats at the rates tried "
            "and no share of it can be told from noise. So C6 compares stages that lie closer together than the paper's.",
        ),
        Departure(
            "D10",
            "The early fork at 1,500 steps and the controls that tell at every second exposure were tried on one seed, "
            "the large batch that is told again on none: the four pilot runs came before them. All were fixed before the "
            "first counted run.",
        ),
        Departure(
            "D11",
            "The language model is trained in the last ten of its thirty blocks, in bfloat16 and batches of four rows, two of "
            "them a passage's; plain pages tell of works and firms, passages of people. With pages about other people a fact "
            "rose no more than a value dealt out anew.",
        ),
    ),
    experiments=(ACQUISITION, LANGUAGE_MODEL),
)
