"""Heads of a pretrained model: what is marked, seen, chosen and cut is what it is called."""

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.models.pretrained.named import base_model
from assay.models.sites import unwrapped
from assay.protocols.language_model import load_base
from assay.studies.mechanisms.two_hop_reasoning import heads
from assay.studies.mechanisms.two_hop_reasoning.heads import Seen, followed, look
from assay.studies.mechanisms.two_hop_reasoning.language_model import TRAINED_WORDINGS
from assay.studies.mechanisms.two_hop_reasoning.prompts import STEMS, ChainPrompt, drawn_prompts

MODEL = base_model("tiny")


def prompts(n: int) -> list[ChainPrompt]:
    return drawn_prompts(n, 2, wordings=TRAINED_WORDINGS, stems=STEMS, rng=np.random.default_rng(0))


def test_marked_tokens_are_the_names_and_the_question() -> None:
    for prompt in prompts(8):
        for chain in range(2):
            seen = Seen.of(MODEL.tokenizer, prompt, chain)
            ids, text = np.array(seen.ids), prompt.question(chain)
            assert MODEL.tokenizer.decode(ids[seen.question]).strip() == text.removeprefix(prompt.premises).strip()
            for place, (_, bridge, end) in enumerate(prompt.chains):
                for marked, name in ((seen.bridges[place], bridge), (seen.ends[place], end)):
                    assert MODEL.tokenizer.decode(ids[marked]).replace(" ", "") == name * prompt.premises.count(name)
                assert not (seen.question & (seen.bridges[place] | seen.ends[place])).any()
            for first, end in zip(seen.firsts, prompt.ends, strict=True):
                whole = MODEL.tokenizer(f"{text} {end}").input_ids
                assert (whole[: len(ids)], whole[len(ids)]) == (seen.ids, first)
            assert seen.chain == chain


def test_attention_without_a_cut_is_the_library_s_and_is_put_back() -> None:
    seen = Seen.of(MODEL.tokenizer, prompts(1)[0], 1)
    config = unwrapped(MODEL.model).config
    before = config._attn_implementation
    patterns: dict[int, np.ndarray] = {}
    found = heads._logits(MODEL, seen, (), patterns)
    assert config._attn_implementation == before
    with torch.no_grad():
        own = MODEL.model(torch.tensor([seen.ids])).logits[0, -1].numpy()
    np.testing.assert_allclose(found, own, rtol=1e-4, atol=1e-6)
    assert sorted(patterns) == [0, 1, 2]
    for pattern in patterns.values():
        np.testing.assert_allclose(pattern.sum(-1), 1, rtol=1e-5)
        assert not np.triu(pattern, 1).any()


def test_a_cut_evens_the_named_heads_in_the_rows_of_the_question_and_nothing_else() -> None:
    seen = Seen.of(MODEL.tokenizer, prompts(1)[0], 0)
    whole: dict[int, np.ndarray] = {}
    cut: dict[int, np.ndarray] = {}
    heads._logits(MODEL, seen, (), whole)
    heads._logits(MODEL, seen, [(0, 1), (0, 3)], cut)
    rows = np.flatnonzero(seen.question)
    for head in range(4):
        if head in (1, 3):
            for row in rows:
                np.testing.assert_allclose(cut[0][head, row, : row + 1], 1 / (row + 1), rtol=1e-5)
            np.testing.assert_array_equal(cut[0][head, ~seen.question], whole[0][head, ~seen.question])
        else:
            np.testing.assert_array_equal(cut[0][head], whole[0][head])
    np.testing.assert_array_equal(cut[1][:, ~seen.question], whole[1][:, ~seen.question])


def test_what_is_followed_is_the_asked_chain_above_the_others() -> None:
    attention = np.zeros((2, 6))
    attention[0, 2], attention[0, 4], attention[1, 5] = 0.5, 0.1, 0.7
    places = np.array([[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]], dtype=bool)
    np.testing.assert_allclose(heads._above_others(attention, places, 0), [0.5 - 0.05, -0.35])
    bridges, ends = followed(MODEL, Seen.of(MODEL.tokenizer, prompts(1)[0], 0))
    assert bridges.shape == ends.shape == (3, 4)


def test_heads_are_chosen_on_one_half_and_judged_on_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    half = 2
    drawn = prompts(3 * half)
    asked, without_path = drawn[: 2 * half], drawn[2 * half :]
    texts = [prompt.question(chain) for prompt in asked for chain in range(2)]
    known = {tuple(Seen.of(MODEL.tokenizer, prompt, chain).ids): place for place, (prompt, chain) in enumerate(
        (prompt, chain) for prompt in drawn for chain in range(2)
    )}  # fmt: skip
    cut: list[tuple[int, frozenset[tuple[int, int]]]] = []

    def planted(model: object, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        place = known[tuple(seen.ids)]
        first = place < 2 * half
        bridges, ends = np.zeros((3, 4)), np.zeros((3, 4))
        bridges[1, 2] = ends[2, 0] = 1.0 if first else 0.0  # what chooses
        ends[2, 1] = 0.0 if first else 1.0  # only in the half that is judged
        ends[2, 0] += 0.25 if place < 4 * half else 0.125  # what the chosen head does; less where no path leads
        return bridges, ends

    def answered(model: object, seen: Seen, heads_cut: object) -> bool:
        cut.append((known[tuple(seen.ids)], frozenset(heads_cut)))  # type: ignore[call-overload]
        return not heads_cut

    monkeypatch.setattr(heads, "followed", planted)
    monkeypatch.setattr(heads, "_answered", answered)
    found = look(load_base("tiny"), asked, without_path, 1 / 12, np.random.default_rng(0))
    assert found.end_margin == [0.125, 0.125]
    assert found.right == {"whole": [1.0, 1.0], "bridge-heads": [0.0, 0.0], "other-heads": [0.0, 0.0]}
    assert {place for place, _ in cut} == set(range(2 * half, len(texts)))
    chosen, others = {one for _, one in cut} - {frozenset()}, frozenset({(1, 2)})
    assert others in chosen
    (control,) = chosen - {others}
    assert {layer for layer, _ in control} == {1}
    assert len(control) == 1


def test_other_heads_are_as_many_of_the_same_layers() -> None:
    chosen = [(0, 0), (0, 3), (2, 1)]
    for seed in range(5):
        others = heads._others(chosen, 4, np.random.default_rng(seed))
        assert sorted(layer for layer, _ in others) == [0, 0, 2]
        assert not set(others) & set(chosen)
    assert heads._largest(np.array([[0.1, 0.9], [0.5, 0.2]]), 2) == [(0, 1), (1, 0)]


def test_the_same_draw_looks_alike() -> None:
    one, other = (look(load_base("tiny"), prompts(4), prompts(2), 0.2, Seeds(0)("heads")) for _ in range(2))
    assert one == other
    assert len(one.end_margin) == 2
