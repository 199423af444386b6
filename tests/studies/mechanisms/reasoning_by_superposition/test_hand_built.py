"""The hand-built network searches exactly; the graph reader thinks as the decoder does, and reads sets."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import InputError, SettingsError
from assay.models.decoder import Decoder
from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader, reader_config
from assay.studies.mechanisms.reasoning_by_superposition.graphs import adjacency, distances, random_dags
from assay.studies.mechanisms.reasoning_by_superposition.hand_built import (
    MARKS,
    Search,
    needed_sharpness,
    search,
    superposition_network,
)
from assay.studies.mechanisms.reasoning_by_superposition.world import (
    SPECIAL,
    ProsqaWorld,
    Questions,
    asked_everywhere,
    superposition,
)


def solved(model: Decoder, questions: Questions, n_thoughts: int) -> Search:
    return search(model, torch.from_numpy(questions.tokens()), n_thoughts)


def assert_exact(found: Search, questions: Questions, n_thoughts: int) -> None:
    """Every thought is the normalised sum over what is within reach; every answer is right as soon as it can be, not before."""
    exact = superposition(questions.distance, n_thoughts)
    thoughts = found.thoughts.numpy()
    np.testing.assert_array_equal(thoughts > 0, exact > 0)
    assert np.abs(thoughts - exact).max() < 1e-4
    assert found.rest < 1e-6
    rows, logits = np.arange(len(questions)), found.logits.numpy()
    wrong = questions.candidates.sum(1) - questions.targets
    for c in range(n_thoughts + 1):
        reached = questions.n_steps <= c
        lead = logits[rows, c, questions.targets] - logits[rows, c, wrong]
        assert (lead[reached] > 1e-3).all()
        assert (logits[reached, c].argmax(-1) == questions.targets[reached]).all()
        assert (abs(lead[~reached]) < 1e-5).all(), "one thought too few cannot tell"


def test_marks_are_the_world_s() -> None:
    assert MARKS == SPECIAL


def test_a_thousand_graphs_are_solved_exactly() -> None:
    # The card's family: up to 60 nodes, any source, all depths; grouped by size so that little is padding.
    rng = np.random.default_rng(0)
    graphs = sorted(random_dags(1100, fewest_nodes=4, most_nodes=60, rng=rng), key=len)
    n_solved, deepest, largest = 0, 0, 0
    for start in range(0, len(graphs), 100):
        group = [edges for edges in graphs[start : start + 100] if len(edges)]
        n_nodes = 1 + max(int(edges.max()) for edges in group)
        n_edges = max(len(edges) for edges in group)
        parts = []
        for edges in group:
            every = asked_everywhere(edges, n_nodes, n_edges, rng=rng)
            if len(every):
                parts.append(every.take(np.array([rng.integers(len(every))])))
        questions = Questions.joined(parts)
        n_thoughts = int(questions.distance.max()) + 1
        model = superposition_network(n_nodes, n_edges, n_thoughts=n_thoughts)
        assert_exact(solved(model, questions, n_thoughts), questions, n_thoughts)
        n_solved += len(questions)
        deepest, largest = max(deepest, int(questions.n_steps.max())), max(largest, int(questions.present.sum(1).max()))
    assert n_solved >= 1000
    assert deepest >= 6
    assert largest >= 55


def test_every_source_of_a_graph_is_solved() -> None:
    rng = np.random.default_rng(1)
    graphs = random_dags(25, fewest_nodes=20, most_nodes=30, rng=rng)
    n_edges = max(map(len, graphs))
    questions = Questions.joined([asked_everywhere(edges, 30, n_edges, rng=rng) for edges in graphs])
    n_thoughts = int(questions.distance.max())
    model = superposition_network(30, n_edges, n_thoughts=n_thoughts)
    assert len(questions) > 250
    assert_exact(solved(model, questions, n_thoughts), questions, n_thoughts)


def test_double_precision_is_exact_to_rounding_and_a_leaf_stays_where_it_is() -> None:
    questions = ProsqaWorld(8, 12, fewest_steps=2, most_steps=3).questions(20, rng=np.random.default_rng(2))
    model = superposition_network(questions.n_nodes, questions.edges.shape[1], n_thoughts=8, dtype=torch.float64)
    thoughts = solved(model, questions, 8).thoughts.numpy()
    assert np.abs(thoughts - superposition(questions.distance, 8)).max() < 1e-12
    np.testing.assert_allclose(thoughts[:, -1], thoughts[:, -2], atol=1e-12)


def test_cycles_do_not_disturb_the_search() -> None:
    edges = np.array([[[0, 1], [1, 2], [2, 0], [3, 4]]])
    distance = distances(adjacency(edges, 5), np.eye(5, dtype=bool)[:1][None])[:, 0]
    questions = Questions(
        edges, np.array([0]), np.array([[4, 2]]), np.array([2]), distance, np.array([[2, 1, 0, -1, -1]]),
        np.ones((1, 5), dtype=bool), np.array([[1, 2]]),
    )  # fmt: skip
    assert_exact(solved(superposition_network(5, 4, n_thoughts=4), questions, 4), questions, 4)


def test_a_soft_lookup_spills_over() -> None:
    questions = ProsqaWorld().questions(30, rng=np.random.default_rng(3))
    n_nodes, n_edges = questions.n_nodes, questions.edges.shape[1]

    def wrong_support(sharpness: float) -> float:
        model = superposition_network(n_nodes, n_edges, n_thoughts=4, sharpness=sharpness)
        return float(((solved(model, questions, 4).thoughts.numpy() > 0) != (superposition(questions.distance, 4) > 0)).mean())

    enough = needed_sharpness(n_nodes, n_edges, leak=1e-3)
    assert wrong_support(enough) == 0
    assert wrong_support(2.0) > 0.05


def test_shuffled_weights_search_nothing() -> None:
    questions = ProsqaWorld(8, 12, fewest_steps=2, most_steps=3).questions(20, rng=np.random.default_rng(4))
    model = superposition_network(questions.n_nodes, questions.edges.shape[1], n_thoughts=3)
    keys = model.get_parameter("blocks.1.W_K")
    with torch.no_grad():
        keys[1] = keys[1][torch.from_numpy(np.random.default_rng(0).permutation(keys.shape[1]))]
    found = solved(model, questions, 3).thoughts.numpy() > 0
    assert (found != (superposition(questions.distance, 3) > 0)).mean() > 0.05


@pytest.mark.parametrize("sizes", [(1, 3, 2), (5, 0, 2), (5, 3, 0)])
def test_impossible_networks_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(SettingsError, match="at least two nodes, one edge and one thought"):
        superposition_network(sizes[0], sizes[1], n_thoughts=sizes[2])


def test_zero_thoughts_search_nothing() -> None:
    with pytest.raises(SettingsError, match="at least one thought"):
        search(superposition_network(4, 3, n_thoughts=1), torch.zeros(1, 9, dtype=torch.int64), 0)


def reader_inputs(questions: Questions) -> torch.Tensor:
    n = len(questions)
    return torch.from_numpy(
        np.concatenate((questions.edges.reshape(n, -1), questions.candidates, questions.roots[:, None]), axis=1)
    )


def small_questions(n: int = 6) -> Questions:
    return ProsqaWorld(8, 10, fewest_steps=2, most_steps=3).questions(n, rng=np.random.default_rng(5))


def test_a_run_thinks_and_speaks_as_it_would_alone() -> None:
    config = reader_config(10, d_model=16, n_heads=2)
    both = GraphReader.init(config, [np.random.default_rng(0), np.random.default_rng(1)])
    alone = GraphReader.init(config, np.random.default_rng(1))
    inputs = reader_inputs(small_questions())
    path = torch.from_numpy(np.random.default_rng(2).integers(10, size=(6, 2)))
    for mine, theirs in zip(
        (*both.think(inputs.expand(2, -1, -1), 2, look=True), both.spoken(inputs.expand(2, -1, -1), path.expand(2, -1, -1)),
         *both.speak(inputs.expand(2, -1, -1), 2)),
        (*alone.think(inputs, 2, look=True), alone.spoken(inputs, path), *alone.speak(inputs, 2)),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(mine[1], theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.run(1).think(inputs, 2).logits, alone.think(inputs, 2).logits)


def slowly(reader: GraphReader, inputs: torch.Tensor, fed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The stream at the last position after the prompt and `fed`, edge by edge; the last layer's attention on each edge."""
    config, marks, n = reader.decoder.config, reader.embeddings[reader.n_nodes :], (inputs.shape[1] - 3) // 2
    pairs = inputs[:, :-3].reshape(len(inputs), n, 2)
    edges = reader.embeddings[pairs[..., 0]] @ reader.W_source + reader.embeddings[pairs[..., 1]] @ reader.W_target + marks[0]
    candidates = reader.embeddings[inputs[:, -3:-1]] + marks[1]
    given = torch.cat((edges, candidates), 1) * 2 * np.sqrt(config.d_model / 3)
    x = torch.cat((reader.embeddings[inputs[:, -1:]] + marks[2], fed), 1)
    later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    pattern = torch.empty(0)
    for i, block in enumerate(reader.decoder.blocks):
        normed = F.layer_norm(x, x.shape[-1:], block.w_ln1, block.b_ln1)
        memory = torch.cat((given, normed), 1) if i >= reader.edges_at else normed
        q, k, v = (
            torch.einsum("bpd,hde->bhpe", read, weight) + bias[:, None]
            for read, weight, bias in (
                (normed, block.W_Q, block.b_Q), (memory, block.W_K, block.b_K), (memory, block.W_V, block.b_V)
            )
        )  # fmt: skip
        scores = q @ k.mT / np.sqrt(config.width_of_head)
        told = scores.shape[-1] - x.shape[1]
        if told:
            scores[..., :n] = scores[..., :n].masked_fill(pairs[:, None, None, :, 0] < 0, -torch.inf)
        scores[..., told:] = scores[..., told:].masked_fill(later, -torch.inf)
        pattern = scores.softmax(-1)
        x = x + torch.einsum("bhpe,hed->bpd", pattern @ v, block.W_O) + block.b_O
        normed = F.layer_norm(x, x.shape[-1:], block.w_ln2, block.b_ln2)
        x = x + F.gelu(normed @ block.W_in + block.b_in, approximate="tanh") @ block.W_out + block.b_out
    return reader.decoder.final_norm(x[:, -1:]), pattern[:, :, -1, :n].sum(1)


@pytest.mark.parametrize("edges_at", [0, 1])
def test_thoughts_are_those_of_attention_on_every_edge(edges_at: int) -> None:
    reader = GraphReader.init(reader_config(10, d_model=16, n_heads=2), np.random.default_rng(0), edges_at=edges_at)
    rng = np.random.default_rng(1)
    for parameter in reader.parameters():  # biases and norms too
        parameter.data += torch.from_numpy(rng.normal(scale=0.1, size=parameter.shape)).float()
    inputs = reader_inputs(small_questions())
    assert (inputs < 0).any(), "some edges pad"
    found = reader.think(inputs, 3, ask=False, look=True)
    fed = torch.empty(len(inputs), 0, 16)
    for c in range(4):
        state, attention = slowly(reader, inputs, fed)
        if c < 3:
            torch.testing.assert_close(found.thoughts[:, c : c + 1], state, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found.attention[:, c, -1], attention, rtol=1e-4, atol=1e-5)
        fed = torch.cat((fed, state), 1)
    torch.testing.assert_close(found.logits, reader.decoder.read_out(fed[:, 3:])[:, 0], rtol=1e-4, atol=1e-5)
    asked = slowly(reader, inputs, fed[:, :3] + torch.tensor([0, 0, 1.0])[:, None] * reader.embeddings[-1])[0]
    answered = reader.think(inputs, 3).logits
    torch.testing.assert_close(answered, reader.decoder.read_out(asked)[:, 0], rtol=1e-4, atol=1e-5)


def test_edges_told_late_are_a_set_and_attention_is_on_them() -> None:
    reader = GraphReader.init(reader_config(10, d_model=16, n_heads=2), np.random.default_rng(0), edges_at=1)
    questions = small_questions()
    order = np.random.default_rng(1).permutation(questions.edges.shape[1])
    turned = Questions(**{**questions.__dict__, "edges": questions.edges[:, order]})
    one, other = (reader.think(reader_inputs(q), 2, look=True) for q in (questions, turned))
    torch.testing.assert_close(one.logits, other.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.attention[..., order], other.attention, rtol=1e-4, atol=1e-5)
    assert one.attention.shape == (6, 2, 1, questions.edges.shape[1])
    assert (one.attention.sum(-1) <= reader.decoder.config.n_heads).all()
    assert not torch.allclose(reader.think(reader_inputs(questions) * 0, 2).logits, one.logits)


def test_edges_told_early_are_seen_by_both_layers() -> None:
    reader = GraphReader.init(reader_config(10, d_model=16, n_heads=2), np.random.default_rng(0))
    inputs = reader_inputs(small_questions())
    real = (inputs[:, :-3:2] >= 0).float()[:, None]
    attention = reader.think(inputs, 2, look=True).attention
    assert attention.shape == (6, 2, 2, (inputs.shape[-1] - 3) // 2)
    reader.decoder.blocks[0].W_Q.data.zero_()  # an even first layer; the last one's look is another
    even = reader.think(inputs, 2, look=True).attention
    torch.testing.assert_close(even[:, :, 0], even[:, :, 0].amax(-1, keepdim=True) * real)
    assert not torch.allclose(even[:, :, 1], even[:, :, 1].amax(-1, keepdim=True) * real)


@pytest.mark.parametrize("edges_at", [0, 1])
def test_a_thought_does_not_depend_on_what_is_asked_after_it(edges_at: int) -> None:
    reader = GraphReader.init(reader_config(10, d_model=16, n_heads=2), np.random.default_rng(0), edges_at=edges_at)
    inputs = reader_inputs(small_questions())
    long, short = reader.think(inputs, 3).thoughts, reader.think(inputs, 2, ask=False)
    torch.testing.assert_close(long[:, :2], short.thoughts, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reader.decoder.read_out(long[:, 2:]).squeeze(1), short.logits, rtol=1e-4, atol=1e-5)


def test_an_edit_is_what_is_fed_back() -> None:
    reader = GraphReader.init(reader_config(10, d_model=16, n_heads=2), np.random.default_rng(0))
    inputs = reader_inputs(small_questions())
    plain = reader.think(inputs, 2)
    same = reader.think(inputs, 2, edit=lambda c, thought: thought)
    torch.testing.assert_close(same.logits, plain.logits)
    changed = reader.think(inputs, 2, edit=lambda c, thought: 0 * thought if c == 1 else thought)
    torch.testing.assert_close(changed.thoughts[:, 0], plain.thoughts[:, 0])
    assert not torch.allclose(changed.thoughts[:, 1], plain.thoughts[:, 1])


@pytest.mark.parametrize("edges_at", [0, 1])
def test_speaking_a_path_is_teacher_forcing_on_it(edges_at: int) -> None:
    reader = GraphReader.init(reader_config(10, d_model=16, n_heads=2), np.random.default_rng(3), edges_at=edges_at)
    inputs = reader_inputs(small_questions())
    said, answer, states, _ = reader.speak(inputs, 3)
    forced = reader.spoken(inputs, said)
    torch.testing.assert_close(reader.decoder.read_out(states), forced[:, :3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(states[:, :1], reader.think(inputs, 1).thoughts, rtol=1e-4, atol=1e-5)
    assert (forced[:, :3].argmax(-1) == said).all()
    torch.testing.assert_close(forced[:, -1], answer, rtol=1e-4, atol=1e-5)


def test_readers_refuse_what_they_cannot_do() -> None:
    config = reader_config(10, d_model=16, n_heads=2)
    reader = GraphReader.init(config, np.random.default_rng(0))
    with pytest.raises(SettingsError, match="at least 0"):
        reader.think(reader_inputs(small_questions()), -1)
    with pytest.raises(InputError, match="a run axis"):
        reader.run(0)
    with pytest.raises(SettingsError, match=r"one of the layers 0\.\.1"):
        GraphReader(config, edges_at=2)
    with pytest.raises(SettingsError, match="reader_config"):
        GraphReader(superposition_network(4, 3, n_thoughts=1).config)
