"""Heads: shapes, one answer of several classifiers, seeds; and that ONNX says what PyTorch says."""

import numpy as np
import pytest
import torch

from earmark.datasets.core import HeadSpec
from earmark.errors import RecipeError
from earmark.recipe import HeadDesign
from earmark.training.graft import HeadRunner, check_heads, read_graph, replace_heads, widen_head, write_graph
from earmark.training.heads import build_head

GENRE = HeadSpec("genre", "multiclass", ("a", "b", "c"))
TAGS = HeadSpec("tags", "multilabel", ("x", "y"))
ENERGY = HeadSpec("energy", "regression")
ENSEMBLE = ("linear", "mlp-16", "mlp-8")
DESIGNS = {
    "linear": HeadDesign(),
    "hidden": HeadDesign(hidden=(16, 8), dropout=0.5),
    "plain": HeadDesign(hidden=(16,), batch_norm=False),
    "mean": HeadDesign(ensemble=ENSEMBLE, mean="mean"),
    "mean-log": HeadDesign(ensemble=ENSEMBLE, mean="mean-log"),
}


def _worn(head: torch.nn.Module) -> torch.nn.Module:
    """The head after a few batches: batch norm has seen data."""
    head.train()
    for _ in range(3):
        head(torch.randn(32, 96) * 3 + 1)
    return head.eval()


@pytest.mark.parametrize("design", DESIGNS)
def test_onnx_says_what_pytorch_says(design, tiny_model):
    torch.manual_seed(0)
    heads = {spec.name: _worn(build_head(DESIGNS[design], 96, spec, 3)) for spec in (GENRE, TAGS, ENERGY)}
    graph = replace_heads(read_graph(tiny_model), heads)
    clips = np.random.default_rng(0).standard_normal((3, 40, 96)).astype(np.float32)
    assert check_heads(graph, heads, clips) < 1e-4
    names = {output.name for output in graph.graph.output}
    assert {"embedding", "genre", "tags", "energy", "layer:bands"} <= names
    assert ("layer:genre" in names) == bool(DESIGNS[design].hidden)


def test_prototypes_are_in_the_same_file(tiny_model):
    heads = {spec.name: build_head(HeadDesign(ensemble=("prototype", "linear")), 96, spec, 0) for spec in (GENRE, TAGS)}
    clips = np.random.default_rng(0).standard_normal((2, 40, 96)).astype(np.float32)
    assert check_heads(replace_heads(read_graph(tiny_model), heads), heads, clips) < 1e-4


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


def test_a_wider_head_keeps_its_old_scores(tiny_model, tmp_path):
    """Twice: names inside the graph must not clash."""
    old = HeadRunner(tiny_model, ["genre"])
    random = np.random.default_rng(0)
    graph = read_graph(tiny_model)
    for labels in (4, 5):
        weight = random.standard_normal((labels, 96)).astype(np.float32)
        weight[: labels - 1] = 0
        graph = widen_head(graph, "genre", weight, np.eye(labels)[-1].astype(np.float32))
    write_graph(graph, tmp_path)
    x = random.standard_normal((3, 96)).astype(np.float32)
    said = HeadRunner(tmp_path, ["genre"])(x)["genre"]
    assert said.shape == (3, 5)
    assert np.array_equal(said[:, :3], old(x)["genre"])
    assert np.allclose(said[:, 4], x @ weight[4] + 1, atol=1e-5)
