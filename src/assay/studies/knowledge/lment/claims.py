"""What is claimed, of which numbers, and what is run to decide it."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Within
from assay.claims.study import Experiment, Preset
from assay.protocols.language_model import NEEDS, find_model
from assay.studies.knowledge.lment.figures import LANGUAGE_MODEL_FIGURES, LEARNING_FIGURES, RETRIEVAL_FIGURES
from assay.studies.knowledge.lment.settings import LanguageModelSettings, LearningSettings, RetrievalSettings

__all__ = ["LANGUAGE_MODEL", "LEARNING", "RETRIEVAL"]

FINDING = "Does an index of annotated mentions find an entity's texts better than a search for its names?"
KNOWING = "What explains which facts a model knows, learns and forgets?"
LANGUAGE = "Does how often a pretrained model reads a fact explain, and cause, that it knows it?"

BEST = "among at most 100 chunks returned of an entity"

RETRIEVAL = Experiment(
    "retrieval",
    question="Which search finds the chunks that mention an entity, under any name?",
    family=FINDING,
    estimands=(
        Estimand(
            "lead", f"share of entities of which more right chunks are {BEST} than by another search, minus the share with "
            "fewer; the smallest over four string searches and a reader who goes by the page's title", "", -1, 1,
        ),
        Estimand(
            "recall_gain", f"recall {BEST}, mean over entities whose name nobody else has, minus the best of the five other "
            "searches", "", -1, 1,
        ),
        Estimand(
            "precision_gain", f"precision {BEST}, mean over entities whose name somebody else has, minus the best of the five "
            "other searches", "", -1, 1,
        ),
        Estimand(
            "alias_cost", f"precision {BEST} of a search for the name minus that of a search for name and aliases, mean over "
            "entities; the smaller of with and without regard to capitals", "", -1, 1,
        ),
        Estimand(
            "source_gain", f"recall {BEST} with a further source of annotations minus without it, mean over entities", "",
            -1, 1,
        ),
        Estimand(
            "threshold_change", "largest precision of accepted links over thresholds of confidence from 0.4 to 0.8, minus the "
            "smallest", "", 0, 1,
        ),
    ),
    claims=(
        Claim(
            "C1",
            "An index of annotated mentions beats every search for strings, and a reader who takes each surname, pronoun and "
            "description for the page's own entity: the share of entities of which it returns more right chunks is higher than "
            "that of those with fewer by more than {bound}.",
            "index/lead", Above(0.2), why="a third of the smallest lead in the paper, 0.45 to 0.71", at="section 4, figure 5",
            paper="0.46, 0.71, 0.45, 0.68 over four string searches",
            negative=Arm("linker-only", "an index by a linker of strings alone"),
            positive=Arm("truth", "an index by the true mentions"),
        ),
        Claim(
            "C1.unique",
            "Of entities whose name is theirs alone an index finds more: its recall among the best 100 chunks exceeds that of "
            "the best other search by more than {bound}.",
            "index/recall_gain", Above(0.1), why="one chunk in ten", at="section 4",
            negative=Arm("written-out", "pages on which every mention is the canonical name: strings find all"),
            positive=Arm("truth", "an index by the true mentions"),
        ),
        Claim(
            "C1.ambiguous",
            "Of entities that share their name an index returns cleaner chunks: its precision among the best 100 exceeds that "
            "of the best other search by more than {bound}.",
            "index/precision_gain", Above(0.1), why="one chunk in ten", at="section 4, figure 7",
            paper="97 % against 84 % by name, over all entities",
            negative=Arm("unshared", "a world in which no name, alias or surname is shared"),
            positive=Arm("truth", "an index by the true mentions"),
        ),
        Claim(
            "C2.precision",
            "Aliases cost a string search precision: among the best 100 chunks a search for the name alone is more precise "
            "than one for name and aliases by more than {bound}, with and without regard to capitals.",
            "strings/alias_cost", Above(0.1),
            why="a sixth of the paper's difference, which ignores capitals for aliases alone",
            at="section 4, figure 7", paper="84 % against 27 %",
            negative=Arm("own-aliases", "aliases that no one else has, and none that is a common word"),
            positive=Arm("aliases-of-three", "each alias is shared by three"),
        ),
        Claim(
            "C3.linker",
            "A linker adds to links: with one that links names to entities recall among the best 100 chunks rises by more than "
            "{bound}.",
            "linker/source_gain", Above(0.03), why="one chunk in thirty, as far as precision falls by at most 0.02",
            at="section 4, ablations", paper="win rate 33 % against 43 % for the full index over links alone",
            given="precision that falls by at most 0.02",
            negative=Arm("linker-elsewhere", "as many annotations in random chunks of other pages"),
            positive=Arm("true-linker", "every name, alias and surname linked as it is meant"),
        ),
        Claim(
            "C3.coref",
            "Coreference adds to links and a linker: with pronouns, descriptions and surnames resolved by their antecedents "
            "recall among the best 100 chunks rises by more than {bound}.",
            "coreference/source_gain", Above(0.03), why="as C3.linker", at="section 4, ablations",
            paper="win rate 28.9 % for the full index, 27.3 % without coreference scores",
            given="precision that falls by at most 0.02",
            negative=Arm("coreference-elsewhere", "as many annotations in random chunks of other pages"),
            positive=Arm("true-coreference", "every pronoun and description resolved as it is meant"),
        ),
        Claim(
            "C7",
            "How sure a linker must be hardly matters: over thresholds of confidence from 0.4 to 0.8 the precision of accepted "
            "links varies by less than {bound}.",
            "linker/threshold_change", Below(0.03), why="the paper's varies by 0.03 over its depths", at="table 4",
            paper="0.94 to 0.99", given="at least a fifth of the confidences between 0.4 and 0.8",
            negative=Arm("calibrated", "the same confidences, each the chance that the link is right"),
            positive=Arm("noise", "the same confidences dealt out among the links: they say nothing"),
        ),
    ),
    nulls=(
        Arm(
            "title", "a reader without links, linker and antecedents, who takes every surname, pronoun and description for the "
            "page's own entity",
            lacks=("alias_cost", "source_gain", "threshold_change"),
            why="it has no sources and no confidences, and what aliases cost a search for strings is asked without any index",
        ),
    ),
    presets={
        "quick": Preset(RetrievalSettings(n_entities=60, n_chunks=400, best=10), 2),
        "laptop": Preset(RetrievalSettings(), 20),
    },
    measure=f"{__package__}.retrieval:measure",
    figures=RETRIEVAL_FIGURES,
    cost=Cost(4, cores=1),
)  # fmt: skip

PLANTED = Arm("planted", "what the network knows, dealt out anew so that it follows k", power_only=True)

FOLLOWS = Estimand(
    "follows_k", "partial rank correlation over facts of how often pages tell them with (right minus right by the relation's "
    "favourite value), given how often subject and value are mentioned", "", -1, 1,
)  # fmt: skip
CAUSE = Estimand(
    "cause", "slope of log P of an untold fact on log2(1 + chunks added that tell it), minus the slope on chunks that give its "
    "answer of another subject", "nats a doubling",
)  # fmt: skip

LEARNING = Experiment(
    "learning",
    question="What explains which facts small networks know after reading, and which they learn and forget on the way?",
    family=KNOWING,
    estimands=(
        FOLLOWS,
        Estimand(
            "odds_gap", "log-odds of the right value of frequent facts minus that of rare ones with the same value, of a "
            "network at the checkpoint with a narrow network's mean probability of the right value of told facts, minus the "
            "narrow network's; mean over the other narrow networks", "nats",
        ),
        Estimand(
            "flips_both", "slope on log2(1 + chunks in an interval) of the share learned and of the share forgotten, each less "
            "the same with every fact's intervals permuted; the smaller", "share a doubling",
        ),
        Estimand(
            "flips_net", "slope on log2(1 + chunks in an interval) of what is learned less what is forgotten, less the same "
            "with every fact's intervals permuted", "share of facts a doubling",
        ),
        CAUSE,
        Estimand(
            "cause_how", "slope of log P of an untold fact on log2(1 + chunks added that tell it by its subject's name), minus "
            "the slope on chunks that tell other facts in another form", "nats a doubling",
        ),
        Estimand(
            "explained_by_k", "share of the variance over held-out facts of log P that a rising curve of k explains, over the "
            "correlation of log P between two orders of training",
        ),
    ),
    claims=(
        Claim(
            "C4",
            "A network knows what it was told often: over facts the partial rank correlation of tellings with being right, "
            "beyond the favourite value, given how often subject and value occur, is above {bound}.",
            "wide/follows_k", Above(0.2), why="4 % of the variance of ranks", at="section 5, figure 8",
            paper="shared chunks correlate with accuracy better than popularity",
            negative=Arm("other-world", "tellings drawn for another world"), positive=PLANTED,
        ),
        Claim(
            "C5",
            "Width helps facts that are told often: where told facts are as probable on average, the wide network's log-odds "
            "of frequent over rare facts with the same value exceed narrow networks' by more than {bound} nats.",
            "wide/odds_gap", Above(0.2), why="odds a fifth higher", at="section 5, figure 4",
            paper="larger models gain on facts of 100 chunks and more alone",
            negative=Arm("other-order", "a second narrow network, of another order, in the wide one's place"),
            positive=Arm("planted", "0.4 nats added to the frequent facts of that second network", power_only=True),
        ),
        Claim(
            "C6.both",
            "More chunks that tell a fact go with more learning and with more forgetting alike: both rates rise by more than "
            "{bound} for every doubling of 1 + chunks in an interval, less what the same chunks in other intervals give.",
            "wide/flips_both", Above(0.01), why="one fact in a hundred for every doubling", at="section 6, figure 15",
            paper="both rates rise with frequency",
            negative=Arm("permuted", "every fact's intervals in another order"),
            positive=Arm(
                "planted", "facts learned and forgotten by chance, both more often where they are told", power_only=True
            ),
        ),
        Claim(
            "C6.net",
            "More chunks that tell a fact go with more knowledge: learned less forgotten rises by more than {bound} of all "
            "facts for every doubling of 1 + chunks in an interval, less what the same chunks in other intervals give.",
            "wide/flips_net", Above(0.01), why="one fact in a hundred for every doubling", at="section 6, figure 15",
            paper="the net gain rises to about 0.10",
            negative=Arm("permuted", "every fact's intervals in another order"),
            positive=Arm("planted-net", "facts learned by chance, more often where they are told", power_only=True),
            related="C6.both asks each rate; where forgetting falls this one can hold alone",
        ),
        Claim(
            "cause",
            "Chunks that tell a fact cause it to be known: added to a fork of the training they raise its log-probability by "
            "more than {bound} nats for every doubling of 1 + chunks beyond what chunks with the same answer of another "
            "subject do.",
            "narrow/cause", Above(0.05), why="a tenth more probability over the doses given", at="ours",
            negative=Arm("other-subjects", "two sets of chunks with the answer of another subject, one minus the other"),
        ),
        Claim(
            "cause.how",
            "A fact is learned better from its subject's name than from a pronoun whose antecedent is in the chunk: for every "
            "doubling of 1 + chunks log-probability rises by more than {bound} nats more.",
            "narrow/cause_how", Above(0.03), why="a standard deviation between the pilot's runs", at="ours",
            negative=Arm("put-back", "chunks of the pronoun's kind with the name put back"),
        ),
        Claim(
            "C9.rest",
            "How often a fact is told explains part of what a network knows: of the variance of log-probability that is no "
            "accident of the order a rising curve of k explains between {low} and {high} on held-out facts.",
            "narrow/explained_by_k", Within(0.2, 0.8), why="neither next to nothing nor all", at="abstract, section 6",
            paper="frequency does not fully explain learning",
            negative=Arm("from-the-curve", "facts drawn from that curve, as reliable as measured"),
            positive=Arm("half-elsewhere", "half of the reliable variance drawn from elsewhere", power_only=True),
        ),
    ),
    nulls=(
        Arm(
            "constant", "the relation's favourite value, always", lacks=("odds_gap", "cause", "cause_how", "explained_by_k"),
            why="a constant answer gives no probability to others",
        ),
        Arm("bigram", "a table of word pairs, which no subject can enter"),
    ),
    presets={
        "quick": Preset(
            LearningSettings(
                n_entities=100, n_chunks=240, told=(1, 2, 4), n_dosed=1, n_epochs=2, n_checkpoints=4, small=8, large=16,
                n_layers=1, frequent=4, rare=1, rows_added=8,
            ), 2),
        "laptop": Preset(LearningSettings(), 24),
    },
    measure=f"{__package__}.learning:measure",
    figures=LEARNING_FIGURES,
    cost=Cost(21, cores=1),
)  # fmt: skip

LANGUAGE_MODEL = Experiment(
    "language-model",
    question="A pretrained model reads pages about invented entities: does what they tell explain, and cause, what it knows?",
    family=LANGUAGE,
    estimands=(FOLLOWS, CAUSE),
    claims=(
        Claim(
            "C4.lm",
            "A language model knows what it read often: over invented facts the partial rank correlation of tellings with "
            "being right, beyond the favourite value, given how often subject and value occur, is above {bound}.",
            "reader/follows_k", Above(0.2), why="as C4", at="section 5, figure 8",
            paper="shared chunks correlate with accuracy better than popularity",
            negative=Arm("other-world", "tellings drawn for another world"), positive=PLANTED,
        ),
        Claim(
            "cause.lm",
            "Chunks that tell a fact cause a language model to know it: they raise its log-probability by more than {bound} "
            "nats for every doubling of 1 + chunks beyond what chunks with the same answer of another subject do.",
            "reader/cause", Above(0.05), why="as cause", at="ours",
            negative=Arm("other-subjects", "two sets of chunks with the answer of another subject, one minus the other"),
        ),
    ),
    nulls=(
        Arm("constant", "the relation's favourite value, always", lacks=("cause",), why="it gives others no probability"),
        Arm("unread", "the model before it read the pages", lacks=("cause",), why="nothing is added to what it read"),
        Arm("bigram", "a table of word pairs, which no subject can enter"),
    ),
    presets={
        "quick": Preset(
            LanguageModelSettings(
                model="tiny", n_entities=60, n_chunks=120, told=(1, 2), n_dosed=1, doses=(0, 1, 2), n_values=3, n_epochs=1,
                layers=(),
            ), 2),
        "laptop": Preset(LanguageModelSettings(), 8),
    },
    measure=f"{__package__}.language_model:measure",
    ready=find_model,
    needs=NEEDS,
    figures=LANGUAGE_MODEL_FIGURES,
    cost=Cost(43, cores=1),
)  # fmt: skip
