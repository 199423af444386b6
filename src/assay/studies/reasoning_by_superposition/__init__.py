"""Reasoning by superposition: does a chain of continuous thought search a graph breadth-first in a single vector?

Paper   Zhu, Hao, Hu, Jiao, Russell and Tian 2025, "Reasoning by Superposition: A Theoretical Perspective on Chain of
        Continuous Thought", NeurIPS 2025, arXiv:2505.12514; after Hao et al. 2024 (Coconut), arXiv:2412.06769.
Scale   Theirs: two layers of width 768 on 14,785 symbolic ProsQA graphs of about 23 nodes, 3 or 4 steps, 300 epochs on two
        A100. Ours: the theorem's weights at its own scale, up to 60 nodes; and two layers of width 64 on graphs of 12 nodes and
        3 steps, 2,000 updates, five seeds. Not shown here: the paper's own training run, its 12-layer chain of thought, and
        GSM8k, which need a GPU; a pretrained model thinking in vectors.

Departs D1  Hand-built weights: RMS norm, no residual stream, three heads a layer in place of the paper's five and one. An edge
            mark shares its head with [R] and [A] where their offsets agree, and one head carries a position's own content.
        D2  Trained networks are told one vector an edge (source, target and a mark, without positions), which spares them the
            first layer's copying; the paper tells three tokens. Claims about copying in layer 1 are not made.
        D3  Graphs are told with new node numbers and a new order at every use; depth-matched graphs have equally deep
            candidates and no shortcut. The benchmark's family is rebuilt from its description, 14 nodes and 3
            steps.
        D4  Two heads, MLP of two widths, AdamW at 0.003 falling to 0 with gradients clipped, batches of 64, embeddings of
            length one at the start; the first stage is longer than the next, the last the longest; stages are mixed a batch at
            a time. The paper: eight heads, four widths, 0.0001, batches of 256.
        D5  Networks without thoughts train for half as many updates again, so that computation is about equal; those that
            speak, and those without the curriculum, for as many.
        D6  Steps count as in the paper's table: attention at step c is what makes thought c. Candidates, which the prompt
            names, are left out of what thoughts are said to hold.
        D7  Cuts and collapses (C7, C8) are judged by which candidate is preferred, for which chance is one half; accuracy by
            the first token of all.
        D8  On a seed that is not among the runs eight heads, 14 nodes and a constant rate had reached 0.83 after 2,200 updates;
            two heads, 12 nodes and a falling rate were chosen then (0.98 after 2,000). Two runs have been seen since.
"""

from assay.claims.study import Study
from assay.studies.reasoning_by_superposition.construction import CONSTRUCTION
from assay.studies.reasoning_by_superposition.shortcut import SHORTCUT
from assay.studies.reasoning_by_superposition.trained import TRAINED

STUDY = Study(slug="reasoning-by-superposition", doc=__doc__, experiments=(CONSTRUCTION, TRAINED, SHORTCUT))
