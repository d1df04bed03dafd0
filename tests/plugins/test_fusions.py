"""The built-in fusions compute what their definitions say, and learn what they can."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmauto_fusion import mmauto_fusions
from torch import nn
from torch.func import functional_call

from mmauto.engine.adapters import LinearHeads, adapt
from mmauto.plugin import FeatureSpec, TargetSpec, TaskView, Tokens
from mmauto.space import defaults

FUSIONS = {fusion.name: fusion for fusion in mmauto_fusions()}
TARGETS = {
    "kind": TargetSpec("kind", "multiclass", ("a", "b", "c")),
    "urgent": TargetSpec("urgent", "binary", ("no", "yes")),
    "tags": TargetSpec("tags", "multilabel", ("p", "q")),
    "days": TargetSpec("days", "regression"),
}
FEATURES = {"text": FeatureSpec(3, 8), "image": FeatureSpec(4, 6)}
ROWS = 5


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def model(name, features=FEATURES, **changes):
    task = TaskView("made", {key: key for key in features}, TARGETS, "kind", "accuracy")
    params = {**defaults(FUSIONS[name].space(task)), **changes}
    return FUSIONS[name].build(features, LinearHeads(TARGETS), params).eval()


def tokens(features=FEATURES, rows=ROWS):
    """Random tokens; the last position of the first row is padding."""
    found = {}
    for key, spec in features.items():
        mask = torch.ones(rows, spec.tokens, dtype=torch.bool)
        mask[0, 1:] = False
        found[key] = Tokens(torch.randn(rows, spec.tokens, spec.dim), mask)
    return found


def all_present(**changes):
    return {key: torch.tensor(changes.get(key, [True] * ROWS)) for key in FEATURES}


def test_the_names_that_users_type():
    assert {fusion.name: fusion.stage for fusion in FUSIONS.values()} == {
        "additive_attention": "attention",
        "bottleneck": "attention",
        "cross_attention": "attention",
        "perceiver": "attention",
        "self_attention": "attention",
        "low_rank_tensor": "bilinear",
        "mfb": "bilinear",
        "tensor": "bilinear",
        "film": "conditioning",
        "alignment_matrix": "early",
        "concat_mlp": "early",
        "multimodal_cnn": "early",
        "multimodal_rnn": "early",
        "single_stream": "early",
        "gmu": "gated",
        "poe_vae": "generative",
        "multiplicative": "hypernetwork",
        "late_transformer": "late",
        "logit_mean": "late",
        "logit_product": "late",
        "logit_sum": "late",
        "logit_weighted": "late",
        "trusted": "late",
        "joint_auxiliary": "multitask",
        "shared_private": "multitask",
        "policy": "reinforcement",
        "expert_mixture": "routed",
    }


def test_concat_mlp_reads_the_mean_of_real_tokens():
    net, given = model("concat_mlp"), tokens()
    means = [given["image"].mean(), given["text"].mean()]
    assert torch.equal(means[0][0], given["image"].values[0, 0])
    wanted = net.heads(net.trunk(torch.cat(means, dim=-1)))
    found = net(given, all_present()).outputs
    assert all(torch.equal(found[name], wanted[name]) for name in TARGETS)


def test_logit_mean_averages_the_votes_of_those_present():
    present = all_present(
        image=[True, True, False, False, True], text=[True, False, True, False, True]
    )
    result = model("logit_mean")(tokens(), present)
    image, text = result.per_modality["image"], result.per_modality["text"]
    for name in TARGETS:
        assert torch.allclose(result.outputs[name][0], (image[name][0] + text[name][0]) / 2)
        assert torch.allclose(result.outputs[name][1], image[name][1])
        assert torch.allclose(result.outputs[name][2], text[name][2])
        assert torch.equal(result.outputs[name][3], torch.zeros(TARGETS[name].width))
    assert result.weights["image"].tolist() == [0.5, 1.0, 0.0, 0.0, 0.5]


def test_logit_product_is_the_renormalised_product_of_probabilities():
    result = model("logit_product")(tokens(), all_present())
    votes = list(result.per_modality.values())
    product = torch.stack([vote["kind"].softmax(-1) for vote in votes]).prod(0)
    wanted = product / product.sum(-1, keepdim=True)
    assert torch.allclose(result.outputs["kind"].softmax(-1), wanted, atol=1e-6)
    for name in ("urgent", "tags"):
        yes = torch.stack([vote[name].sigmoid() for vote in votes]).prod(0)
        no = torch.stack([1 - vote[name].sigmoid() for vote in votes]).prod(0)
        assert torch.allclose(result.outputs[name].sigmoid(), yes / (yes + no), atol=1e-6)


def test_logit_product_weighs_numbers_by_precision():
    net = model("logit_product")
    with torch.no_grad():
        net.log_precision[0].copy_(torch.tensor([1.0, 3.0]).log())  # image, text
    present = all_present(
        image=[True, True, False, False, True], text=[True, False, True, False, True]
    )
    result = net(tokens(), present)
    image, text = (result.per_modality[key]["days"][:, 0] for key in ("image", "text"))
    found = result.outputs["days"][:, 0]
    assert torch.allclose(found[0], (image[0] + 3 * text[0]) / 4)
    assert torch.allclose(found[1:4], torch.stack([image[1], text[2], torch.zeros(())]))


def test_logit_product_learns_no_precision_without_numbers():
    heads = LinearHeads({"kind": TARGETS["kind"]})
    net = FUSIONS["logit_product"].build(
        FEATURES, heads, defaults(FUSIONS["logit_product"].space(None))
    )
    assert not list(net.log_precision)


def test_additive_attention_scores_each_token_beside_the_context():
    net, given = model("additive_attention", width=64), tokens()
    result = net(given, all_present())
    image, text = (
        project(given[key].values)
        for project, key in zip(net.project, ("image", "text"), strict=True)
    )
    row = 1  # nothing is padded here
    context = torch.cat([image[row].mean(0), text[row].mean(0)])
    joint = torch.cat([net.from_context.weight, net.from_token.weight], dim=1)
    values = torch.cat([image[row], text[row]])
    scores = [
        net.score.weight[0] @ (joint @ torch.cat([context, v]) + net.from_context.bias).tanh()
        for v in values
    ]
    wanted = torch.stack(scores).softmax(0)
    found = torch.cat([result.attention["image"][row], result.attention["text"][row]])
    assert torch.allclose(found, wanted, atol=1e-5)
    assert torch.allclose(result.fused[row], net.trunk(wanted @ values), atol=1e-5)


def test_additive_attention_gives_padding_no_weight():
    result = model("additive_attention")(tokens(), all_present())
    assert result.attention["image"][0, 1:].abs().sum() == 0
    total = result.weights["image"] + result.weights["text"]
    assert torch.allclose(total, torch.ones(ROWS))


@pytest.mark.parametrize("heads", [2, 8])
def test_cross_attention_is_multi_head_attention_to_the_others(heads):
    net, given = model("cross_attention", width=64, heads=heads), tokens()
    layer, text_layer = net.layers
    own, others = (
        Tokens(project(given[key].values), given[key].mask)
        for project, key in zip(net.project, ("image", "text"), strict=True)
    )
    reference = nn.MultiheadAttention(64, heads, batch_first=True).eval()
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key_value.weight]))
        reference.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key_value.bias]))
        reference.out_proj.load_state_dict(layer.out.state_dict())
    context = layer.before_context(others.values)
    query = layer.before_query(own.values)
    seen, _ = reference(query, context, context, key_padding_mask=~others.mask)
    hidden = own.values + seen
    hidden = net.after(hidden + layer.feed(layer.before_feed(hidden)))
    other = net.after(text_layer(others.values, own.values, own.mask))
    fused = net(given, all_present()).fused
    assert torch.allclose(fused[:, :64], Tokens(hidden, own.mask).mean(), atol=1e-5)
    assert torch.allclose(fused[:, 64:], Tokens(other, others.mask).mean(), atol=1e-5)


def test_cross_attention_of_one_modality_attends_to_itself():
    only = {"text": FEATURES["text"]}
    given = tokens(only)
    net = model("cross_attention", only, width=64)
    part = Tokens(net.project[0](given["text"].values), given["text"].mask)
    fused = net(given, {"text": torch.ones(ROWS, dtype=torch.bool)}).fused
    hidden = net.after(net.layers[0](part.values, part.values, part.mask))
    assert torch.allclose(fused, Tokens(hidden, part.mask).mean())


def test_joint_auxiliary_adds_each_modalitys_loss_where_it_is_present():
    net = model("joint_auxiliary", weight=0.5)
    present = all_present(image=[True, False, False, False, False])
    result = net(tokens(), present)

    def task_loss(outputs):
        return outputs["urgent"][:, 0].square()

    found = net.objective(result, SimpleNamespace(present=present), task_loss)
    own = {key: task_loss(outputs) for key, outputs in result.per_modality.items()}
    wanted = task_loss(result.outputs).mean() + 0.5 * (own["image"][0] / 5 + own["text"].mean())
    assert torch.allclose(found, wanted)


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_modality_keys_may_hold_what_torch_forbids_in_names(name):
    features = {
        "note.first": FeatureSpec(2, 4),
        "note.second": FeatureSpec(1, 4),
        "train": FeatureSpec(1, 4),
    }
    present = {key: torch.ones(ROWS, dtype=torch.bool) for key in features}
    assert model(name, features)(tokens(features), present).outputs["kind"].shape == (ROWS, 3)


@pytest.mark.parametrize("name", sorted(FUSIONS))
@pytest.mark.parametrize("training", [False, True])
def test_several_models_run_as_one(name, training):
    nets = [model(name, dropout=0.0).train(training) for _ in range(2)]
    # not stack_module_state: it wants one class, and each build defines its own
    stacked = [
        {name: torch.stack([dict(part)[name] for part in parts]) for name, _ in parts[0]}
        for parts in (
            [list(net.named_parameters()) for net in nets],
            [list(net.named_buffers()) for net in nets],
        )
    ]
    given, present = tokens(), all_present(image=[True, False, True, False, True])

    def outputs(params, buffers):
        return functional_call(nets[0], (params, buffers), (given, present)).outputs

    torch.manual_seed(1)  # what is drawn in training is drawn alike
    together = torch.vmap(outputs, randomness="same")(*stacked)
    for place, net in enumerate(nets):
        torch.manual_seed(1)
        alone = net(given, present).outputs
        for target in TARGETS:
            assert torch.allclose(together[target][place], alone[target], atol=1e-5)


def xor(rows, generator):
    """Each modality shows one bit in noise; the label is whether the bits differ.

    All four combinations are equally frequent, so that neither bit alone says anything.
    """
    bits = torch.tensor(list(itertools.product((0, 1), repeat=2))).repeat(rows // 4, 1)
    arrays = {}
    for place, (key, spec) in enumerate(FEATURES.items()):
        signal = (2.0 * bits[:, place] - 1).view(-1, 1, 1) * torch.ones(spec.tokens, spec.dim)
        noise = torch.randn(rows, spec.tokens, spec.dim, generator=generator)
        # a slope over the features: the adapter's LayerNorm must not be able to remove the sign
        slope = torch.linspace(-1, 1, spec.dim)
        mask = torch.ones(rows, spec.tokens, dtype=torch.bool)
        arrays[key] = Tokens(signal * slope + 0.3 * noise, mask)
    return arrays, (bits[:, 0] != bits[:, 1]).float()


def accuracy_on_xor(name):
    draw = torch.Generator().manual_seed(0)
    targets = {"urgent": TARGETS["urgent"]}
    adapters, after = adapt(FEATURES, 64)
    params = defaults(FUSIONS[name].space(None))
    net = FUSIONS[name].build(after, LinearHeads(targets), params)
    train, test = xor(256, draw), xor(256, draw)
    present = {key: torch.ones(256, dtype=torch.bool) for key in FEATURES}

    def run(arrays):
        pairs = zip(FEATURES, adapters, strict=True)
        return net({key: adapter(arrays[key], present[key]) for key, adapter in pairs}, present)

    def task_loss(outputs):
        return F.binary_cross_entropy_with_logits(
            outputs["urgent"][:, 0], train[1], reduction="none"
        )

    optimiser = torch.optim.AdamW([*net.parameters(), *adapters.parameters()], lr=2e-3)
    for _ in range(80):
        result = run(train[0])
        if hasattr(net, "objective"):
            loss = net.objective(result, SimpleNamespace(present=present), task_loss)
        else:
            loss = task_loss(result.outputs).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    with torch.no_grad():
        found = run(test[0]).outputs["urgent"][:, 0] > 0
    return float((found == test[1].bool()).float().mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["concat_mlp", "additive_attention", "cross_attention", "joint_auxiliary"]
)
def test_what_only_both_modalities_tell_is_learnt(name):
    assert accuracy_on_xor(name) > 0.9


@pytest.mark.parametrize("name", ["logit_mean", "logit_product"])
def test_votes_that_are_added_cannot_tell_it(name):
    assert accuracy_on_xor(name) <= 0.65
