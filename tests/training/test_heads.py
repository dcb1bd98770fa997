"""Heads: shapes, one answer of several classifiers, seeds; and that a model folder computes what PyTorch does."""

import numpy as np
import pytest
import torch

from earmark.datasets.core import HeadSpec
from earmark.errors import ModelError, RecipeError
from earmark.inference.scores import raw_scores
from earmark.models.card import HeadCard
from earmark.models.network import widened
from earmark.recipe import HeadDesign
from earmark.training.heads import build_head, weights_of

GENRE = HeadSpec("genre", "multiclass", ("a", "b", "c"))
TAGS = HeadSpec("tags", "multilabel", ("x", "y"))
ENERGY = HeadSpec("energy", "regression")
ENSEMBLE = ("linear", "mlp-16", "mlp-8")
DESIGNS = {
    "linear": HeadDesign(),
    "hidden": HeadDesign(hidden=(16, 8), dropout=0.5),
    "plain": HeadDesign(hidden=(16,), batch_norm=False),
    "parts": HeadDesign(ensemble=("part-1/3", "part-2/3", "part-3/3")),
    "mean": HeadDesign(ensemble=ENSEMBLE, mean="mean"),
    "mean-log": HeadDesign(ensemble=ENSEMBLE, mean="mean-log"),
}


def _worn(head: torch.nn.Module) -> torch.nn.Module:
    """The head after a few batches: batch norm has seen data."""
    head.train()
    for _ in range(3):
        head(torch.randn(32, 96) * 3 + 1)
    return head.eval()


def _raw(head: torch.nn.Module, spec: HeadSpec, x: np.ndarray) -> np.ndarray:
    """The raw scores that a model folder gives."""
    card = HeadCard(spec.name, spec.task, spec.labels)
    return raw_scores([card], {spec.name: weights_of(head)}, {"embedding": x})[spec.name]


@pytest.mark.parametrize("spec", [GENRE, TAGS, ENERGY], ids=["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("design", DESIGNS)
def test_numpy_computes_what_pytorch_does(design, spec):
    torch.manual_seed(0)
    head = _worn(build_head(DESIGNS[design], 96, spec, 3))
    x = np.random.default_rng(0).standard_normal((5, 96)).astype(np.float32)
    with torch.no_grad():
        expected = head(torch.from_numpy(x)).numpy()
    found = _raw(head, spec, x)
    assert found.dtype == np.float64
    assert np.allclose(found, expected, atol=1e-4)
    assert weights_of(head).has_hidden == bool(DESIGNS[design].hidden)


def test_prototypes_become_rows():
    x = np.random.default_rng(0).standard_normal((4, 96)).astype(np.float32)
    for spec in (GENRE, TAGS):
        head = build_head(HeadDesign(ensemble=("prototype", "linear")), 96, spec, 0)
        with torch.no_grad():
            assert np.allclose(_raw(head, spec, x), head(torch.from_numpy(x)).numpy(), atol=1e-4)


def test_a_layer_that_no_step_stands_for_is_refused():
    with pytest.raises(ModelError, match="Tanh cannot be written"):
        weights_of(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 2)))


def test_the_hidden_layer_is_what_the_last_one_reads():
    head = _worn(build_head(DESIGNS["hidden"], 96, GENRE, 3))
    x = np.random.default_rng(0).standard_normal((4, 96)).astype(np.float32)
    with torch.no_grad():
        expected = head[:-2](torch.from_numpy(x)).numpy()
    assert np.allclose(weights_of(head).hidden(x.astype(np.float64)), expected, atol=1e-4)


def test_ensemble_is_the_mean_of_its_members_probabilities():
    head = build_head(HeadDesign(ensemble=ENSEMBLE, mean="mean"), 5, GENRE, 0).eval()
    x = torch.randn(4, 5)
    wanted = torch.stack([member(x).softmax(1) for member in head.members]).mean(0)
    assert torch.allclose(head(x).softmax(1), wanted, atol=1e-6)
    tags = build_head(HeadDesign(ensemble=ENSEMBLE, mean="mean"), 5, TAGS, 0).eval()
    wanted = torch.stack([member(x).sigmoid() for member in tags.members]).mean(0)
    assert torch.allclose(tags(x).sigmoid(), wanted, atol=1e-6)


def test_seeds_decide_the_weights_and_members_differ():
    first, again, other = (build_head(DESIGNS["mean"], 5, GENRE, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["members.0.1.weight"], other["members.0.1.weight"])


def test_unknown_member_and_prototype_of_a_number_are_refused():
    with pytest.raises(RecipeError, match="known: linear, prototype, mlp-WIDTH"):
        build_head(HeadDesign(ensemble=("svm",)), 5, GENRE, 0)
    with pytest.raises(RecipeError, match="a prototype needs classes"):
        build_head(HeadDesign(ensemble=("prototype",)), 5, ENERGY, 0)
    for part in ("part-4/3", "part-1/2"):
        with pytest.raises(RecipeError, match="no part of an embedding of 5"):
            build_head(HeadDesign(ensemble=(part,)), 5, GENRE, 0)


def test_a_part_reads_its_own_numbers_alone():
    head = build_head(HeadDesign(ensemble=("part-2/3",)), 96, GENRE, 0).eval()
    x, y = torch.randn(4, 96), torch.randn(4, 96)
    y[:, 32:64] = x[:, 32:64]
    assert torch.equal(head(x), head(y))


@pytest.mark.parametrize("design", ["linear", "hidden", "mean"])
def test_a_wider_head_keeps_its_old_scores(design):
    """Twice; rows are added, whatever the head is made of."""
    head = _worn(build_head(DESIGNS[design], 96, GENRE, 0))
    random = np.random.default_rng(0)
    x = random.standard_normal((3, 96)).astype(np.float32)
    before, weights = _raw(head, GENRE, x), weights_of(head)
    rows = random.standard_normal((2, 96)).astype(np.float32)
    for row, bias in zip(rows, ([1.0], [2.0]), strict=True):
        weights = widened(weights, row[None], np.float32(bias))
    wide = HeadCard("genre", "multiclass", (*GENRE.labels, "d", "e"))
    after = raw_scores([weights.described(wide)], {"genre": weights}, {"embedding": x})["genre"]
    assert after.shape == (3, 5)
    assert np.allclose(after[:, :3], before, atol=1e-12)
    assert np.allclose(after[:, 3:], x @ rows.T + [1, 2], atol=1e-5)
