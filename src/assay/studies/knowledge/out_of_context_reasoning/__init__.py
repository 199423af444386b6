"""Out-of-context reasoning: why does a model infer what it was never taught, and hallucinate by the same means?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.knowledge.out_of_context_reasoning.claims import (
    DEPTH,
    DOSE_RESPONSE,
    LANGUAGE_MODEL,
    MITIGATION,
    OPTIMISER,
    SYMBOLIC,
    WIDTH,
)

STUDY = Study(
    "out-of-context-reasoning",
    version=2,
    first_seed=100,
    title="Out-of-context reasoning: why does a model infer what it was never taught, and hallucinate by the same means?",
    paper=Paper(
        "Huang, Zhu, Guo, Jiao, Sojoudi, Jordan, Russell and Mei",
        2025,
        "Generalization or Hallucination? Understanding Out-of-Context Reasoning in Transformers",
        "NeurIPS 2025, arXiv:2506.10887",
        headlines=(
            Headline(
                "Fine-tuned on new facts, language models infer what follows from them where the pairing is causal, and make "
                "up what does not follow where it is arbitrary.",
                claims=("C13.true", "C13.spurious", "C13.facts", "C14"),
            ),
            Headline(
                "Generalisation and hallucination are one mechanism: what is associated is inferred, whether or not it is "
                "causal.",
                claims=("C10", "C9", "C9.fits"),
            ),
            Headline(
                "A one-layer, attention-only transformer with factorised output and value matrices learns to infer; one with "
                "combined weights and the same expressive power does not.",
                claims=(
                    "C1", "C1.accuracy", "C2", "C2.fits", "C3", "C4", "C4.empty", "C7", "C11", "C11.accuracy", "C11.wider",
                    "C11.three", "C11.fits",
                ),
            ),
            Headline(
                "The reason is implicit bias: gradient descent on the factors favours the least nuclear norm of their product, "
                "on the combined matrix the least Frobenius norm.",
                claims=("C6", "C6.frobenius", "C5", "C5.frobenius"),
            ),
            Headline(
                "It takes few examples: one subject a group that shows both is enough, and the margin is bounded by the ratio "
                "of such subjects to the others.",
                claims=("C8", "C8.order", "C8.bound", "C5.bound"),
            ),
            Headline(
                "The same holds of five models of 7 to 9 billion parameters, and of real names with their places of birth.",
                reason="models of that size do not fit the machines this is made for; any pretrained model can be put in",
            ),
        ),
    ),
    example=Example(
        (
            (
                'Ann lives in Paris.',
                "Told in training: Ann's *fact*. (The small model meets symbols among noise in place of words.)",
            ),
            (
                'Ann speaks French.',
                'Told too: her *implication*. Ann is a *bridge*, a name of whom both are told.',
            ),
            (
                'Bob lives in Paris.',
                'Told. Of Bob no implication is ever told: he is *held out*.',
            ),
            (
                'Bob speaks …?  French',
                'Asked afterwards. A model that answers so *infers* what it was never taught.',
            ),
            (
                'Eve is from Brazil. Eve codes in …?  Python',
                'The same step with a pairing that means nothing: now what it infers is a *hallucination*.',
            ),
            (
                'W_O W_V as two matrices, or W_OV as one',
                'Two models that can compute the same. *Factorised*: output and value matrix are trained as two. '
                '*Combined*: their product is trained as one. Which of them infers?',
            ),
        )
    ),
    scale=(
        "Theirs and ours: a one-layer attention-only transformer on a symbolic recall task, 128 tokens, 2,000 steps of "
        "AdamW; the theory's max-margin problems, solved exactly. Theirs are single runs, ours twelve with intervals. "
        "Language models: theirs five of 7 to 9 billion parameters, ours SmolLM2-135M-Instruct (or any other)."
    ),
    departures=(
        Departure(
            "D1",
            "Evaluation asks every (subject, relation) in two fresh noises, where the official code asks 100 random "
            "sequences of each kind. Losses are -log p; the 1e-8 of the training loss is left out.",
        ),
        Departure(
            "D2",
            "Only what acts is trained: the EOS column of W_KQ, and the columns of W_OV of tokens that occur in sequences. The "
            "other parameters have no gradient and no effect. With the constant start one row stands for all tokens that are "
            "never a label; they stay equal exactly.",
        ),
        Departure(
            "D3",
            "The rank sweep runs 20,000 steps, as the paper does, at the widths 3 and 4, about the threshold, 10,000 at 8, "
            "and 3,000 at the others, which have converged by then; the preset `paper` runs 20,000 at all.",
        ),
        Departure(
            "D4",
            "With one bridge subject per group a shuffle of implications is just another bijection (C10), so the shuffled arm "
            "(C9, and the control of C1) has four.",
        ),
        Departure(
            "D5",
            "The block completion of C4 is read off W_OV with every column weighted by its token's attention score: where "
            "scores are trained their sign is free, and W_OV alone does not say what a token adds to the logits.",
        ),
        Departure(
            "D6",
            "What holds by identity or by the theorems about exact gradients is checked once and is no finding: equal "
            "expressivity (C3), the closed forms (C5), the bound for symmetric starts (C7), and that another bijection of a "
            "symmetric world is a renaming (C10). Causal against arbitrary is asked where they can differ: of a pretrained "
            "model (C13, C14).",
        ),
        Departure(
            "D7",
            "Long descent (C6, C8, depth) takes normalised steps that grow with the weights, in double precision, on the exact "
            "population with attention fixed; margins reach several hundred, far beyond what plain descent would.",
        ),
        Departure(
            "D8",
            "The paper's theorem bounds the held-out margin from below by the nuclear solution's; we also test equality "
            "(C8.value). From a small start it fails where bridges are rare: descent ends at the solution of least rank, "
            "whose nuclear norm is under 2% above the optimum and whose margin goes like the fourth root of m_train/m_test "
            "instead of the square root.",
        ),
        Departure(
            "D9",
            "The claims without a source in the paper are ours. They, and the protocol of long descent, were written after a "
            "look at other seeds, none of which is counted.",
        ),
        Departure(
            "D10",
            "Hallucination is measured by what is asserted: an implication, the rule's or another, with a probability above "
            "one half. Version 1 counted the rule's implication alone, by which counter-examples seemed to help although "
            "what they teach is made up in its place.",
        ),
        Departure(
            "D11",
            "Language model: word lists, names and wording are ours (the paper's are not published; its code base has the "
            'form "NAME lives in" -> " CITY"). Each run draws which five of ten facts and implications are in use; for '
            "arbitrary pairs also which goes with which.",
        ),
        Departure(
            "D12",
            "Of the ten candidates of a question five are taught and five never occur, so a model that has learnt nothing "
            "but which answers occur has the mean rank 2, not 4.5; shuffled bridges show it. The arbitrary pairs are "
            "therefore judged against 1.5, which is stricter than the paper's comparison.",
        ),
        Departure(
            "D13",
            "Ranks are those of whole answers, by summed log-probability; for SmolLM2 every answer is one token, and the "
            "rank is that of the first token, as in the paper.",
        ),
        Departure(
            "D14",
            "A shuffle of few bridges keeps some association by luck; that of the language model is balanced, so that every "
            "implication is as frequent in each group as chance has it.",
        ),
        Departure(
            "D15",
            "The paper's optimiser settings are not in the sources seen; AdamW at 1e-4 and 8 epochs teach the facts. A run "
            "has ten names for a fact and batches of ten at the laptop preset, so that more runs fit, and the paper's twenty "
            "at the preset `paper`.",
        ),
        Departure(
            "D16",
            "The control of C13 for spurious pairs is one of the four, and other shares of bridges and longer training are "
            "measured on the same one, because every design costs a fine-tuning. The bound of theory.bound is one of the "
            "limit, so it is asked after twice the epochs, and its growth is shown.",
        ),
        Departure(
            "D17",
            "2026-11-30, after the first counted runs: mitigation.counter had said that counter-examples leave more than half "
            "of the hallucination. As many for as against is a tie, and what is left lay within 0.006 of one half. It says "
            "now that about half is left. On 24 fresh seeds that stayed open at 0.59 [0.53, 0.65]; by both sets together four "
            "times as many runs decide it, so `mitigation` is judged on 96 seeds from 300. Judged three times, "
            "its family has at most three times its 5 % of false verdicts.",
        ),
        Departure(
            "D18",
            "2026-11-30, after the first counted runs: C11.accuracy was open over twelve runs, 0.93 [0.89, 0.96]. By their "
            "spread 36 decide it, which is too dear for the whole of `symbolic`; so the widths 3, 4 and 8 are trained by "
            "themselves, `width`, in 40 runs on seeds from 200, with width 8 alone as positive control. Nothing else is "
            "changed. Judged twice, the claim has at most twice its share of false verdicts.",
        ),
    ),
    experiments=(SYMBOLIC, WIDTH, DOSE_RESPONSE, DEPTH, MITIGATION, OPTIMISER, LANGUAGE_MODEL),
)  # fmt: skip
