"""Filtering and storing: where does a one-layer transformer keep facts, and when can a question reach them?

Paper   Xu and Chen 2025, "Filtering with Self-Attention and Storing with MLP: One-Layer Transformers Can Provably Acquire
        and Extract Knowledge", arXiv:2508.00901.
Scale   Theirs: theory of one layer, synthetic data, and GPT-2 and Llama-3.2-1B on PopQA. Ours: one layer of width 64 on 200
        invented subjects with 3 attributes each, and SmolLM2-135M-Instruct on 12 invented people with 2 each; five or six
        seeds.

Departs D1  Generator, network and sizes are a reconstruction: the paper's own are not published. Each type of attribute has its
            own templates and one question token; |R| counts the templates of a type.
        D2  C9 speaks of the questions of one type, since three question tokens make three directions; the share over all
            questions is measured beside it.
        D3  C2 compares networks by equal steps, not by equal parameters; without the MLP the mixed token is read out directly.
        D4  C11 is split: the same peak rate (the paper's comparison), and the same mean rate, which tells the schedule from
            the amount of learning.
        D5  Low-rank updates stand beside the attention's and the MLP's matrices; embeddings and read-out stay.
        D6  Training a question's embedding alone, and replaying statements, are ours; so is telling apart the three ways to
            fail (never stored, overwritten, not triggered).
        D7  After a pilot on a seed that is not among the runs, the controls of C4, C5, C9.low, C12 and C11 with its parts
            became a network that was never pre-trained (shuffled answers still extract, and a rising rate did not flip C11),
            the margin of C6.better went from 0 to 0.1, and C14 and C11.rise were added. The control of C11 flips almost by
            construction: it is a weak one.
        D8  C9 is void: the gradient is as rank-one when every question has a token of its own.
        D9  The language model reads invented people, not PopQA, whose subjects it may know. 24 facts a run and 4 sentences
            about each in 4 passes, with the loss on the value alone, as in the one-layer world. Training is costly here: the
            lowest 10 of 30 blocks, embeddings and norms stay, so "full" means the matrices of the other blocks.
        D10 K is the number of wordings, not of sentences: both copies read as many, and each fact draws its wordings from the
            same eight.
        D11 The control of C5.lm is what the two copies have stored, since a copy that read nothing has no K. That of C9.lm is
            no fine-tuning, since a language model may answer without. The margin of C4.lm went from 0.04 to 0.15 before any
            run: with sixty facts its control could hardly have come out below 0.04.
        D12 On a seed that is not among the runs, 48 facts were not stored by 16 steps at a rate of 2e-4, nor by 36 at 5e-4; 32
            were by 24 steps at 5e-4. So the runs have 24 facts and 24 steps at 5e-4. No fine-tuned copy had been looked at,
            and what was then seen of four on that seed changed nothing. Five runs with batches of 16 had been judged when
            batches of 8, twice the steps for the same sentences, replaced them: in two of the five only half of the facts had
            been stored from several wordings. On three seeds that are not among the runs all facts are stored now; only that
            was looked for.
        D13 C8.lm and C8.lm.type speak of wrong answers. They were void when one of the five runs with the smaller batches had
            none; since then a run without a wrong answer takes no part in them.
"""

from assay.claims.study import Study
from assay.studies.knowledge.filtering_attention_storing_mlp.acquisition import ACQUISITION
from assay.studies.knowledge.filtering_attention_storing_mlp.extraction import EXTRACTION
from assay.studies.knowledge.filtering_attention_storing_mlp.fine_tuning import FINE_TUNING
from assay.studies.knowledge.filtering_attention_storing_mlp.language_model import LANGUAGE_MODEL

STUDY = Study(
    slug="filtering-attention-storing-mlp",
    doc=__doc__,
    experiments=(ACQUISITION, EXTRACTION, FINE_TUNING, LANGUAGE_MODEL),
)
