"""Filtering and storing: where does a one-layer transformer keep facts, and when can a question reach them?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.knowledge.filtering_attention_storing_mlp.claims import (
    ACQUISITION,
    EXTRACTION,
    FINE_TUNING,
    LANGUAGE_MODEL,
)

STUDY = Study(
    "filtering-attention-storing-mlp",
    title="Filtering and storing: where does a one-layer transformer keep facts, and when can a question reach them?",
    paper=Paper(
        "Xu and Chen",
        2025,
        "Filtering with Self-Attention and Storing with MLP: One-Layer Transformers Can Provably Acquire and Extract Knowledge",
        "arXiv:2508.00901",
        headlines=(
            Headline(
                "Pre-training reaches a near-optimal loss: attention picks the informative tokens, and the MLP stores facts, "
                "which attention alone may fail to acquire.",
                claims=("C1", "C10", "C2"),
            ),
            Headline("What is stored cannot be asked for until questions are trained.", claims=("C3", "C3.lm")),
            Headline(
                "Facts that no question was trained on are reached if enough subjects are fine-tuned on and each fact was seen "
                "in enough wordings; N_f K² / |R|² decides.",
                claims=("C4", "C5", "C5.lm", "C6"),
            ),
            Headline("Fine-tuning need not come back to a fact, it must cover its wordings.", claims=("C7",)),
            Headline(
                "Otherwise facts are stored and not reached, and the model hallucinates.",
                claims=("C8", "C8.single", "C8.type", "C8.lm"),
            ),
            Headline(
                "Low-rank fine-tuning works as full, because the gradient is dominated by one direction, the question's; "
                "a decaying rate keeps more.",
                claims=("C9", "C9.low", "C11"),
            ),
        ),
    ),
    example=Example(
        (
            (
                "Ann comes from Oslo.",
                "A *statement*, read in pre-training; its last word is the *value* of the fact.",
            ),
            (
                "The home town of Ann is Oslo.",
                "The same fact in another *wording* (template). A fact is told in K of the |R| wordings there are.",
            ),
            (
                "Q: Which city is Ann from? A: Oslo",
                "A *question*, a form that no statement has. It is taught afterwards, by *fine-tuning*, about N_f"
                " of the people.",
            ),
            (
                "Q: Which city is Bob from? A: …?",
                "Asked about people on whom no question was trained: is what is *stored* also *reached*?",
            ),
            (
                "attention on “Ann” and “home town”",
                "*Filtering*: attention picks the two informative words of a sentence and passes over the others.",
            ),
            (
                "MLP: Ann, home town ↦ Oslo",
                "*Storing*: the layer behind attention (the *MLP*) turns what was picked into the value.",
            ),
        )
    ),
    scale=(
        "Theirs: theory of one layer, synthetic data, and GPT-2 and Llama-3.2-1B on PopQA. Ours: one layer of width 64 on "
        "200 invented subjects with 3 attributes each, and SmolLM2-135M-Instruct on 12 invented people with 2 each. At this "
        "size twelve facts a run do not tell how extraction rises with the number of people asked about, nor what rank-one "
        "updates cost a language model; nor do a dozen runs tell whether the embeddings of question tokens alone reach nine "
        "tenths of what all weights reach. These are shown, not judged."
    ),
    departures=(
        Departure(
            "D1",
            "Generator, network and sizes are a reconstruction: the paper's own are not published. Each type of attribute has "
            "its own templates and one question token; |R| counts the templates of a type.",
        ),
        Departure(
            "D2",
            "C9 speaks of the questions of one type, since three question tokens make three directions. It asks for the "
            "energy along the question rather than for rank one: the first singular value carries 0.92 of it even where "
            "every question has a token of its own. The question's format is one token of five; the positive control has four.",
        ),
        Departure(
            "D3",
            "C2 compares networks by equal steps, not by equal parameters; without the MLP the mixed token is read out "
            "directly. It is about 1,500 steps: after three times as many, attention alone completed 0.99 and 0.88 of the "
            "statements in two trials, so part of what the MLP gains is time.",
        ),
        Departure(
            "D4",
            "C4 and C5 are judged beyond what the form of questions does, since questions with permuted values reach facts, "
            "too. C11 compares schedules on paths of equal length through the weights, since a rate that decays from the "
            "same peak also moves less.",
        ),
        Departure("D5", "Low-rank updates stand beside the attention's and the MLP's matrices; embeddings and read-out stay."),
        Departure(
            "D6",
            "Training a question's embedding alone, and replaying statements, are ours; so is telling apart the three ways to "
            "fail (never stored, overwritten, not triggered).",
        ),
        Departure(
            "D7",
            "C8 is the rate of confident errors about facts that the network still completes when stated, few subjects minus "
            "many: how sure single errors are does not depend on what is stored, and with nothing stored they are more "
            "frequent after few subjects, too. An error is confident where its probability is above one half. C8.lm counts all "
            "errors: after questions about one person a copy that read nothing gives that person's values just as surely.",
        ),
        Departure(
            "D8",
            "The language model reads invented people, not PopQA, whose subjects it may know. 24 facts a run and 4 sentences "
            "about each in 4 passes, with the loss on the value alone, as in the one-layer world. The lowest 10 of 30 blocks, "
            "embeddings and norms stay.",
        ),
        Departure(
            "D9",
            "In the language model K is the number of wordings, not of sentences: both copies read as many, and each fact "
            "draws its wordings from the same eight.",
        ),
    ),
    experiments=(ACQUISITION, EXTRACTION, FINE_TUNING, LANGUAGE_MODEL),
    version=2,
    first_seed=100,
)
