"""LMEnt: when did a model see which entity, under any name, and what does that have to do with what it knows?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.knowledge.lment.claims import LANGUAGE_MODEL, LEARNING, RETRIEVAL

STUDY = Study(
    "lment",
    title="LMEnt: when did a model see which entity, under any name, and what does that have to do with what it knows?",
    example=Example(
        (
            (
                "Marie Curie was born in Warsaw. She won …",
                "A page about an *entity*, in a corpus a model is trained on. Both sentences are about her, one names her.",
            ),
            (
                "chunk 812: Curie (0-5), She (23-26), Warsaw",
                "The *annotation*: which part of which chunk is a *mention* of which entity, whether named, by a pronoun or by "
                "a description.",
            ),
            (
                "all chunks about Curie and Warsaw",
                "Looked up in the index of mentions, or by *string search* for their names, which misses “she” and finds other "
                "Curies.",
            ),
            (
                "told k = 0, 1, 2, … 32 times in an epoch",
                "Of invented facts it is known how often training told each, whatever its subject's *popularity* is.",
            ),
            (
                "Curie was born in …?",
                "Asked at twenty checkpoints: is a fact known the better the more chunks tell it?",
            ),
            (
                "two copies, one with 4 chunks of a fact added",
                "An *intervention*: the rest is the same, so that what changes is caused by the telling.",
            ),
        )
    ),
    paper=Paper(
        "Gottesman, Gilae-Dotan, Cohen, Gur-Arieh, Mosbach, Yoran and Geva",
        2025,
        "LMEnt: A Suite for Analyzing Knowledge in Language Models from Pretraining Data to Representations",
        "arXiv:2509.03405",
        headlines=(
            Headline(
                "Retrieval by annotated entities outperforms string search, by a win rate of up to 80.4 %.",
                claims=("C1", "C1.unique", "C1.ambiguous", "C2.precision", "C3.linker", "C3.coref", "C7"),
            ),
            Headline(
                "How often a fact occurs in training is key to whether a model learns it.",
                claims=("C4", "C4.lm", "C5", "C6.both", "C6.net"),
            ),
            Headline("Frequency does not fully explain the trends in what is learned.", claims=("C9.rest",)),
            Headline("Known data allow interventions on what a model is taught.", claims=("cause", "cause.how", "cause.lm")),
            Headline(
                "A pretraining corpus is fully annotated with entity mentions.",
                reason="the corpus here is generated with its mentions, so that they are true by construction",
            ),
            Headline(
                "Twelve models of up to a billion weights come near popular open models in knowledge.",
                reason="scale: nothing of that size is trained here",
            ),
        ),
    ),
    scale=(
        "Theirs: English Wikipedia, 3.6 billion tokens with 400 million mentions, and twelve models of 170 million to a "
        "billion weights. Ours: generated encyclopaedias of 400 and 800 entities on 4,000 and 8,000 chunks of at most 32 "
        "words, networks of two layers of width 32 and 96, and SmolLM2-135M on 400 chunks."
    ),
    departures=(
        Departure(
            "D1",
            "Pages are generated, so that every mention is known. Recall and precision are counted; no language model judges.",
        ),
        Departure(
            "D2",
            "Which spans are mentions is given to the index. A linker of strings with popularity and context words, and the "
            "nearest antecedent, stand for ReFinED and Maverick; a tenth of the links is missing, a tenth of links and a tenth "
            "of antecedents are wrong.",
        ),
        Departure(
            "D3",
            "A reader who takes every surname, pronoun and description on a page for the page's entity is among the searches "
            "that the index must beat. At least half of a page's mentions are of others, so that it is no index in disguise.",
        ),
        Departure(
            "D4",
            "That more sources or aliases lose no recall is set inclusion, and that more passes are more exposures is "
            "arithmetic (C8): tests hold both. Recall is judged among the best 100 chunks.",
        ),
        Departure(
            "D5",
            "One alias in twenty is a common word with capitals (The Harbour), without which regard to capitals would change "
            "nothing in a generated text.",
        ),
        Departure(
            "D6",
            "How often a fact is told is drawn independently of how often its subject and value occur; a popularity proxy made "
            "of that number and noise loses by the noise alone, and is a figure.",
        ),
        Departure(
            "D7",
            "Sizes are compared in log-odds where told facts are as probable on average: one logit more for every fact already "
            "lifts accuracy of frequent facts more than of rare ones, and of equal accuracy lucky guesses are a part. Frequent "
            "facts are compared with rare ones of the same value, without which a table of word pairs passes.",
        ),
        Departure(
            "D8",
            "Facts are asked in wordings that pages use: to a network that starts from nothing other words say nothing.",
        ),
        Departure("D9", "Forks to which chunks are added, and what is explained beside k over the reliability, are ours."),
        Departure(
            "D10",
            "SmolLM2 is trained in the last ten of its thirty blocks, in bfloat16: a run of all weights takes 12 minutes of a "
            "core.",
        ),
        Departure(
            "D11",
            "Fixed by the pilots, before the first counted run: twelve values a relation, two wordings asked, rates of 6e-4 "
            "for reading and of 2e-4 for forks in `language-model` (its last form had one "
            "pilot run, not four); 24 runs of `learning`, which C5's positive control needs; "
            "and the bound of cause.how, a standard deviation between the pilot's runs (0.03; a placeholder of 0.05 stood "
            "there, at which the counted 0.050 [0.031, 0.069] would be open).",
        ),
    ),
    experiments=(RETRIEVAL, LEARNING, LANGUAGE_MODEL),
)
