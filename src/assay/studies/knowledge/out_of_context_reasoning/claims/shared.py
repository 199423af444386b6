"""What the experiments' declarations share."""

from assay.claims.estimand import Estimand

PACKAGE = "assay.studies.knowledge.out_of_context_reasoning"
N_RUNS = 12

WHY = "Why does one of two equally expressive models infer what it was never taught?"
CONTRADICTION = "What stops the transfer of an association to subjects outside it?"
PRETRAINED = "Does a pretrained language model infer and hallucinate by the same means?"

TEST_ACCURACY = Estimand(
    "test_accuracy", "held-out implications that beat the whole vocabulary", "share of questions", 0, 1
)  # fmt: skip
WORST_TAUGHT_LOSS = Estimand("worst_taught_loss", "the largest loss among the kinds of question that were taught", "nats", 0)
COMPLETION = Estimand(
    "completion", "margin that held-out subjects give their implication, over that of the bridges; of weights",
)  # fmt: skip
