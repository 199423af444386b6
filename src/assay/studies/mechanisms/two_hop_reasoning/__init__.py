"""Two hops: how does a transformer learn to follow two edges in context, and why so suddenly?"""

from assay.claims.paper import Departure, Example, Headline, Paper
from assay.claims.study import Study
from assay.studies.mechanisms.two_hop_reasoning.claims import DEPTH, GATES, SYMBOLIC
from assay.studies.mechanisms.two_hop_reasoning.language_model_claims import LANGUAGE_MODEL

STUDY = Study(
    "two-hop-reasoning",
    version=2,
    first_seed=100,
    title="Two hops: how does a transformer learn to follow two edges in context, and why so suddenly?",
    paper=Paper(
        "Guo, Zhu, Zhang, Jiao, Mei, Jordan and Russell",
        2025,
        "How Do LLMs Perform Two-Hop Reasoning in Context?",
        "arXiv:2502.13913",
        headlines=(
            Headline(
                "Pretrained language models, asked for the end of one of several chains, guess among the ends.",
                claims=("C7.before.lm",),
            ),
            Headline(
                "A short fine-tuning on two chains makes them nearly perfect, and carries over to more chains.",
                claims=("C7.after.lm", "C7.length.lm", "C7.order.lm", "C7.wording.lm"),
            ),
            Headline(
                "A small transformer guesses among the ends for long, then jumps to the right answer.",
                claims=("C1", "C1.ends", "C1.jump", "C2"),
            ),
            Headline(
                "After the jump it answers by a sequential query over three layers: child to parent, query to bridge, query to "
                "end, with copying in place before routing.",
                claims=("C3", "C3.others", "C3.route", "C4", "C4.first", "C5", "C8"),
            ),
            Headline(
                "The mechanism found in the small transformer is that of large language models.",
                claims=("C9.reads.lm", "C9.cut.lm"),
            ),
            Headline(
                "A model of three parameters, one nested gate a layer, repeats the slow phase and the jump.",
                claims=("C6", "C6.cliff", "C6.nesting", "C6.guess"),
            ),
        ),
    ),
    example=Example(
        (
            (
                "Ann → Bob   Cid → Dan   Bob → Eve   Dan → Fay",
                "Premises. Each arrow is an *edge* from a *parent* to a *child*; two *chains* are interleaved "
                "here, five in the small network's task.",
            ),
            (
                "Ann → Bob → Eve",
                "One chain: its *source*, its *bridge*, its *end*.",
            ),
            (
                "Ann → …?  Eve",
                "Where does Ann's chain end? No premise holds both names: it takes two *hops*.",
            ),
            (
                "Eve or Fay",
                "*Guessing among the ends*: to know that the answer is some chain's end, and not whose.",
            ),
            (
                "child to parent, query to bridge, query to end",
                "The *sequential query*: what attention looks at in layers 1, 2 and 3, if the paper is right.",
            ),
            (
                "gate 1 × gate 2 × gate 3",
                "A model of three numbers, one *gate* a layer, each of which pays only where the others are open."
                " Does it wait and jump as the network does?",
            ),
        )
    ),
    scale=(
        "Theirs: a three-layer, single-head transformer of width 256 on five interleaved chains, 10,000 steps. Ours: width "
        "64, attention only, until the task is solved, sixteen networks. Theirs: language models of 7 to 70 billion "
        "parameters. Ours: SmolLM2-135M-Instruct, eight runs, each with its own split of names, training and prompts."
    ),
    departures=(
        Departure(
            "D1",
            "Attention only at width 64, AdamW at 0.002 and batches of 64 contexts (chosen on seeds that are not among the "
            "runs). The preset `paper` has width 256, the released command's MLP, 0.0003 and batches of 512.",
        ),
        Departure(
            "D2",
            "Training stops at the first observation with a probability of the answer above 0.99, or after 2,500 steps. A run "
            "of `symbolic` takes the first of three starts that solves the task, since a network that has not learnt it does "
            "not show how it is solved; claims say so, runs in which none does take no part, and `solved` tells how many first "
            "starts succeed. A level not reached by the end of training counts as reached there.",
        ),
        Departure("D3", "Sequences end with the query: the trailing padding of the released code cannot be seen by it."),
        Departure("D4", "Knock-outs and path patching are ours; the paper shows attention maps."),
        Departure(
            "D5",
            "Whether a network's answer is a product of gates (C6) is asked of its measured attention, second by second "
            "observation held out, against single gates and their squares. Fits of the three-parameter model's own descent to "
            "the network's curve are gone: a pure step passes them as well (correlation 0.9995, two gates 0.9999).",
        ),
        Departure(
            "D6",
            "The authors' model file is not published with their code. Tokens start with a standard deviation of 0.2 and "
            "positions with half of it (GPT-2's proportion), W_Q with zero, so that attention starts uniform, and the other "
            "matrices with variance 1/(3 width), PyTorch's usual; so in the preset `paper` too. With equal deviations and a "
            "random W_Q half of the starts "
            "stay at children of any edge, two thirds on the ends: their first layer has come to look at children everywhere, "
            "and no child looks at its parent.",
        ),
        Departure(
            "D7",
            "Depth (C5) is judged by the share of starts that solve the task, on equal terms: every depth has one start a run, "
            "with the same steps and the same stopping. It used to compare the first of three successful starts of three "
            "layers with single starts of two.",
        ),
        Departure("D8", "The language model has 0.135 billion parameters. What larger ones do is not shown."),
        Departure(
            "D9",
            "All names are invented and of one grammatical gender where it shows, so that no name helps; the paper's languages "
            "and first names are real words. Every source of a prompt is asked for. Probabilities are of whole names.",
        ),
        Departure(
            "D10",
            "Training and test share neither names nor, in C7.wording.lm, templates; the paper tests two chains on the prompts "
            "that it trained on. Cut chains, premises in any order and the base model stand in for what it leaves open.",
        ),
        Departure(
            "D11",
            "Fine-tuning takes 400 prompts once, in batches of 8 at a rate of 0.001, in bfloat16 where the processor has it; "
            "the paper 1,000 three times at 0.0002. That was chosen by the accuracy with two chains on a seed that is not "
            "among the runs (0.94 of 32 questions with 320 prompts at 0.0005, 1.00 with this).",
        ),
        Departure(
            "D12",
            "Half-way steps (C2) are those from which on a curve stays above the middle of its rise: in one of the first five "
            "networks children looked at their parents early, let go, and did so again at the jump.",
        ),
        Departure(
            "D13",
            "That large models work alike (C9) is asked of attention and of cuts in the fine-tuned model, not of its accuracy "
            "with more chains. Heads are chosen on one half of the prompts and judged on the other, by the first token of the "
            "answer.",
        ),
        Departure(
            "D14",
            "Every context is asked for each of its chains, by queries that stand at the same position and do not see each "
            "other; the paper draws one. The expected gradient is the same, and less noisy: while the network guesses among "
            "the ends, which chain was drawn pushes it nowhere. As many questions take a third of the time. Measured are "
            "single questions; the preset `paper` draws one. With it, and with D6's start, the jump is steeper and cleaner "
            "than "
            "in four earlier networks that were asked one chain from another start (it took 0.08 to 0.19 of the way, and cuts "
            "of other rows cost 0.30 to 0.48): C1.ends, C1.jump and C3.others are about networks trained so.",
        ),
        Departure(
            "D15",
            "Rate, start and steps were chosen, on pilot seeds, so that three layers solve the task; two layers have the same "
            "ones and none of their own, and 2,500 steps. C5 says no more.",
        ),
    ),
    experiments=(SYMBOLIC, DEPTH, GATES, LANGUAGE_MODEL),
)
