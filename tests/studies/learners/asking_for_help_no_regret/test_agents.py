import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.learners.asking_for_help_no_regret.agents import (
    Cover,
    FiniteCover,
    HelpAsker,
    Run,
    Schedule,
    ThresholdCover,
    Transcript,
    ask_for_help,
    ask_within_budget,
    bisect_mentor,
    copy_nearest,
    cover_precision,
    halfspace_cover,
)
from assay.studies.learners.asking_for_help_no_regret.payoff_learners import QLearners, grid_cells
from assay.studies.learners.asking_for_help_no_regret.world import (
    Cells,
    Half,
    blurred,
    noisy_labels,
    uniform_inputs,
)


def make_run(n_rounds: int, n_dims: int, seed: int = 0, *, flip: float = 0.0, cover: Cover | None = None) -> tuple[Half, Run]:
    seeds = Seeds(seed).child("run")
    problem = Half.sample(n_dims, rng=seeds("problem"))
    x = uniform_inputs(n_rounds, n_dims, rng=seeds("inputs"))
    cover = cover or ThresholdCover.even(problem.normal, cover_precision(n_rounds, n_dims))
    labels = noisy_labels(problem.mentor(x), flip, rng=seeds("noise"))
    return problem, Run(x, labels, cover, Schedule.online(n_rounds, n_dims, cover.size), seeds("agent"))


def one_by_one(run: Run) -> Transcript:
    """The same run through the online agent."""
    agent = HelpAsker(run.cover, run.schedule, rng=run.rng)
    asked, forced, action = [], [], []
    for x, seen, label in zip(run.inputs, run.features, run.labels, strict=True):
        action.append(agent.propose(seen))
        asked.append(agent.decide(x, seen) is None)
        forced.append(agent.forced)
        if asked[-1]:
            agent.hear(x, int(label), seen)
    return Transcript(np.array(asked), np.array(forced), np.array(action))


def assert_same(a: Transcript, b: Transcript) -> None:
    assert np.array_equal(a.asked, b.asked)
    assert np.array_equal(a.forced, b.forced)
    assert np.array_equal(a.action, b.action)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("flip", [0.0, 0.1])
def test_the_batched_runs_decide_as_the_online_agent_does(n_dims: int, flip: float) -> None:
    batched = ask_for_help([make_run(n, n_dims, seed, flip=flip)[1] for seed, n in enumerate((400, 1500, 30))])
    for seed, n in enumerate((400, 1500, 30)):
        assert_same(batched[seed], one_by_one(make_run(n, n_dims, seed, flip=flip)[1]))


def test_any_list_of_half_planes_may_be_the_class() -> None:
    cover = halfspace_cover(12, 10)
    batched = ask_for_help([make_run(600, 2, seed, cover=cover)[1] for seed in (0, 1)])
    for seed in (0, 1):
        assert_same(batched[seed], one_by_one(make_run(600, 2, seed, cover=cover)[1]))


def test_a_wrong_metric_changes_the_trigger_but_not_the_policies() -> None:
    problem, run = make_run(800, 2)
    wrong = Run(blurred(problem, run.inputs, 0.1), run.labels, run.cover, run.schedule, run.rng, seen=run.inputs)
    batched = ask_for_help([wrong])[0]
    _, again = make_run(800, 2)
    assert_same(batched, one_by_one(Run(wrong.inputs, run.labels, run.cover, run.schedule, again.rng, seen=run.inputs)))
    assert np.array_equal(batched.action, ask_for_help([make_run(800, 2)[1]])[0].action)


def test_a_run_does_not_depend_on_its_batch_mates() -> None:
    alone = ask_for_help([make_run(700, 2, 5)[1]])[0]
    together = ask_for_help([make_run(900, 2, 4)[1], make_run(700, 2, 5)[1], make_run(100, 2, 6)[1]])[1]
    assert_same(alone, together)


def test_threshold_draws_follow_the_weights_of_hedge() -> None:
    # A label rules out a half of the thresholds by exp(-eta); after six labels the draw's law is known in closed form.
    cover = ThresholdCover((1.0,), np.array([0.2, 0.4, 0.6, 0.8]))
    x = np.array([[0.5], [0.5], [0.7], [0.1], [0.3], [0.9]])
    labels = np.array([1, 1, 0, 0, 0, 1])
    schedule = Schedule(forced_rate=1.0, radius=0.1, step_size=0.7)
    mistakes = (cover.votes(x) != labels[:, None]).sum(axis=0)
    law = np.exp(-0.7 * mistakes) / np.exp(-0.7 * mistakes).sum()
    drawn = []
    for seed in range(4000):
        agent = HelpAsker(cover, schedule, rng=Seeds(seed)("a"))
        for point, label in zip(x, labels, strict=True):
            assert agent.decide(point) is None
            agent.hear(point, int(label))
        drawn.append(agent._policy)
    shares = np.bincount(drawn, minlength=4) / 4000
    np.testing.assert_allclose(shares, law, atol=4 * 0.5 / np.sqrt(4000))  # four standard errors


def test_long_noisy_runs_do_not_underflow() -> None:
    # Every threshold is often wrong here, so plain products of weights would vanish.
    cover = ThresholdCover((1.0,), np.linspace(0.01, 0.99, 400))
    x = uniform_inputs(4000, 1, rng=Seeds(0)("x"))
    labels = noisy_labels((x[:, 0] > 0.5).astype(np.int64), 0.4, rng=Seeds(0)("n"))
    run = Run(x, labels, cover, Schedule(1.0, 0.1, 2.0), Seeds(0)("a"))
    dense = Run(x, labels, FiniteCover(np.ones((400, 1)), cover.thetas), Schedule(1.0, 0.1, 2.0), Seeds(0)("a"))
    first, second = ask_for_help([run, dense])
    assert np.array_equal(first.action, second.action)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_a_wrong_action_is_played_only_within_the_radius_of_the_boundary(n_dims: int) -> None:
    # The safety argument of the paper: some heard input with that action is near, so the boundary is nearer still.
    problem, run = make_run(4000, n_dims)
    transcript = ask_for_help([run])[0]
    loss = problem.loss(run.inputs, transcript.played(run.labels))
    assert loss.max() <= run.schedule.radius + 1e-12
    assert not loss[transcript.asked].any()
    assert (transcript.forced <= transcript.asked).all()


def test_without_the_trigger_only_forced_rounds_ask() -> None:
    transcript = ask_for_help([make_run(2000, 1)[1]], trigger=False)[0]
    assert np.array_equal(transcript.asked, transcript.forced)
    assert transcript.forced.mean() == pytest.approx(2000 ** (-1 / 6), abs=0.04)


def test_copying_the_nearest_matches_the_plain_loop() -> None:
    _, run = make_run(1200, 2, 3)
    transcript = copy_nearest(run.inputs, run.labels, 0.05)
    told: list[int] = []
    for t, x in enumerate(run.inputs):
        distance = np.linalg.norm(run.inputs[told] - x, axis=1) if told else np.array([np.inf])
        assert transcript.asked[t] == (distance.min() > 0.05)
        if transcript.asked[t]:
            told.append(t)
        else:
            assert transcript.action[t] == run.labels[told[int(distance.argmin())]]


def test_bisecting_is_never_wrong_and_asks_about_twice_the_logarithm() -> None:
    problem, run = make_run(20_000, 2)
    transcript = bisect_mentor(run.inputs, run.labels, problem.normal)
    assert np.array_equal(transcript.played(run.labels), run.labels)
    assert transcript.asked.sum() < 6 * np.log(20_000)


def test_asking_within_a_budget() -> None:
    problem = Cells.sample(20, rng=Seeds(0)("cells"))
    x = uniform_inputs(500, 1, rng=Seeds(0)("x"))
    labels = problem.mentor(x)
    by_cell = ask_within_budget(x, labels, 5, cell=problem.cell(x))
    assert by_cell.asked.sum() == 5
    known = np.isin(problem.cell(x), problem.cell(x)[by_cell.asked])
    assert np.array_equal(by_cell.played(labels)[known], labels[known])
    assert not by_cell.action[~known].any()
    plain = ask_within_budget(x, labels, 7)
    assert np.array_equal(np.flatnonzero(plain.asked), np.arange(7))
    assert ask_within_budget(x, labels, 0).asked.sum() == 0


def test_the_schedule_has_the_papers_exponents() -> None:
    online, mdp = Schedule.online(10**6, 2, 100), Schedule.irreversible(10**6, 2)
    assert online.radius == pytest.approx(10 ** (6 * -2 / 5))
    assert online.forced_rate == pytest.approx(10 ** (6 * -1 / 10))
    assert mdp.radius == pytest.approx(10 ** (6 * -1 / 3))
    assert mdp.forced_rate == pytest.approx(10 ** (6 * -1 / 6))
    weighted = Schedule.online(10**6, 2, 100, importance_weighted=True)
    assert weighted.step_size == pytest.approx(online.step_size / online.forced_rate)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="forced query rate"):
        Schedule(1.5, 0.1, 0.1)
    with pytest.raises(SettingsError, match="radius"):
        Schedule(0.5, float("nan"), 0.1)
    with pytest.raises(SettingsError, match="n_rounds"):
        cover_precision(0, 1)
    with pytest.raises(SettingsError, match="rising"):
        ThresholdCover((1.0,), np.array([0.5, 0.4]))
    with pytest.raises(SettingsError, match="discount"):
        QLearners.start(1, 2, 2, "ucb", discount=1.0)


def test_grid_cells_number_the_cube() -> None:
    cells = grid_cells(uniform_inputs(5000, 2, rng=Seeds(0)("w")), 4)
    assert set(cells) == set(range(16))
    assert grid_cells(np.array([[1.0, 1.0], [0.0, 0.0]]), 4).tolist() == [15, 0]


@pytest.mark.parametrize("explore", ["ucb", "greedy"])
def test_learners_side_by_side_learn_as_each_would_alone(explore) -> None:
    rng = Seeds(1)("side by side")
    together, alone = QLearners.start(3, 4, 2, explore), [QLearners.start(1, 4, 2, explore) for _ in range(3)]
    states = rng.integers(4, size=3)
    for _ in range(200):
        uniforms, rewards, onward = rng.random((3, 2)), rng.random(3) * np.arange(1, 4) / 3, rng.integers(4, size=3)
        actions = together.act(states, uniforms)
        together.learn(states, actions, rewards, onward)
        for i, one in enumerate(alone):
            row = slice(i, i + 1)
            assert one.act(states[row], uniforms[row]).tolist() == [actions[i]]
            target = rewards[i] + 0.9 * one.values[0, onward[i]].max()
            before, tried = one.values[0, states[i], actions[i]], one.counts[0, states[i], actions[i]]
            one.learn(states[row], actions[row], rewards[row], onward[row])
            assert one.values[0, states[i], actions[i]] == pytest.approx(before + (target - before) / (tried + 1) ** 0.6)
        states = onward
    np.testing.assert_allclose(together.values, np.concatenate([one.values for one in alone]))


@pytest.mark.parametrize("explore", ["ucb", "greedy"])
def test_q_learning_finds_the_better_action(explore) -> None:
    # One state, rewards 1 and 0: what they would need payoffs, and mistakes, to find out.
    learners = QLearners.start(30, 1, 2, explore, discount=0.5)
    rng = Seeds(0)("u")
    zeros = np.zeros(30, dtype=np.int64)
    taken = []
    for _ in range(600):
        actions = learners.act(zeros, rng.random((30, 2)))
        taken.append(actions)
        learners.learn(zeros, actions, (actions == 1).astype(float), zeros)
    assert np.mean(taken[300:]) > 0.8
    assert np.mean(np.array(taken) == 0) > 0  # and each of them did try the bad one
