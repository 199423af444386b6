"""Reasoning by superposition: does a chain of continuous thought search a graph breadth-first in a single vector?

Paper   Zhu, Hao, Hu, Jiao, Russell and Tian 2025, "Reasoning by Superposition: A Theoretical Perspective on Chain of
        Continuous Thought", NeurIPS 2025, arXiv:2505.12514; after Hao et al. 2024 (Coconut), arXiv:2412.06769.
Scale   Theirs: two layers of width 768 on 14,785 symbolic ProsQA graphs of about 23 nodes, 3 or 4 steps, 300 epochs on two
        A100. Ours: the theorem's weights at its own scale, up to 60 nodes; and two layers of width 64 on graphs of 16 nodes and
        3 steps, 2,600 updates, five seeds. Not shown here: the paper's own training run, its 12-layer chain of thought, and
        GSM8k, which need a GPU; a pretrained model thinking in vectors.

Departs D1  Hand-built weights: RMS norm, no residual stream, three heads a layer in place of the paper's five and one. An
            edge mark shares its head with [R] and [A] where their offsets agree, and one head carries a position's own
            content.
        D2  What the paper's first layer copies is given to trained networks: an edge is told as one vector (source, target
            and a mark, without positions) before the second layer, which alone then looks up; and the mark that asks for the
            answer is added to the last thought, or word, in place of a token after it. The paper tells three tokens an edge.
            Claims about copying in layer 1 are not made. In C3.spare and C3.spare_optimal edges are told before the first
            layer, so that two look-ups can follow each other, and attention is judged in the layer with the larger ratio on
            other graphs. (In an earlier design, all edges told before the first layer, attention in the last did not tell the
            frontier.)
        D3  Graphs are told with new node numbers and a new order at every use; depth-matched graphs have equally deep
            candidates and no shortcut. The benchmark's family is rebuilt from its description, 14 nodes, 3 steps and no more
            than 24 edges.
        D4  Two heads, MLP of two widths, AdamW at 0.003 falling to 0 with gradients clipped, batches of 128, embeddings of
            length one at the start. The whole curriculum is first run on the smallest graphs (10 nodes), on which looking up
            and answering form sooner, then on whole ones; the last stage is the longest; every tenth batch is of a stage in
            turn. The paper: eight heads, four widths, 0.0001, batches of 256, one size of graphs.
        D5  Networks without thoughts train for half as many updates again, so that computation is about equal; those that
            speak, and those without the curriculum, for as many. All begin with the smallest graphs.
        D6  Steps count as in the paper's table: attention at step c is what makes thought c. Candidates, which the prompt
            names, are left out of what thoughts are said to hold. The pass that answers looks up as well: with one thought
            fewer than steps most questions are answered, which the control of C2.longer did not foresee.
        D7  Cuts and collapses (C7, C8) are judged by which candidate is preferred, for which chance is one half; accuracy by
            the first token of all. So words that walk to neither candidate are wrong; by preference they were 0.28 behind in
            one network of a seed that is not among the runs.
        D8  Two runs of an earlier design (12 nodes, edges told before the first layer) have been seen: see the log. After
            them, on a seed that is not among the runs, single trainings led to D2 and D4, and to graphs of 16 nodes in place
            of 12, on which words had reached 0.97 and 0.99 in that seed: a root of 12 nodes has 1.5 children, of 16 nodes
            2.2, in the paper 3. On that seed batches of 64 gave 0.90 and 0.95 exact answers in two trainings, half as many
            steps more 0.93 and 0.98, batches of 128 0.99 and 0.99; thoughts fed back at the length of embeddings, or four
            heads, were no better.
"""

from assay.claims.study import Study
from assay.studies.mechanisms.reasoning_by_superposition.construction import CONSTRUCTION
from assay.studies.mechanisms.reasoning_by_superposition.shortcut import SHORTCUT
from assay.studies.mechanisms.reasoning_by_superposition.trained import TRAINED

STUDY = Study(slug="reasoning-by-superposition", doc=__doc__, experiments=(CONSTRUCTION, TRAINED, SHORTCUT))
