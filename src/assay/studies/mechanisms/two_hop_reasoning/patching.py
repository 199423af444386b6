"""Activation and path patching: which places, and which routes between them, carry what makes the answer different.

Two prompts of one shape: `clean`, where the model does something, and `corrupted`, where it does not. Activation patching
puts a site's clean value into the corrupted run and asks how much of the behaviour comes back. Path patching lets a single
route carry the difference: the sender has its corrupted value, everything between is held at its clean value, and only the
receiver notices. Both run on our own decoder and on pretrained models alike. Sources: Meng et al. 2022, arXiv:2202.05262;
Wang et al. 2022, arXiv:2211.00593, section 3; Goldowsky-Dill et al. 2023, arXiv:2304.05969.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from assay.core.errors import InputError
from assay.models.sites import Site, at_positions, every_site, logits_of

__all__ = ["activation_patching", "path_patching", "values_at"]

Metric = Callable[[Tensor], Tensor]
"""metric(logits [batch, pos, vocab]) is a number for each sequence, [batch]: a logit difference, a log-probability."""


def values_at(model: nn.Module, tokens: Tensor, sites: Iterable[Site]) -> dict[Site, Tensor]:
    """The value of each site, detached, from one pass without gradients."""
    seen: dict[Site, Tensor] = {}

    def keep(site: Site, value: Tensor) -> None:
        seen[site] = value.detach().clone()

    with torch.no_grad():
        logits_of(model, tokens, visit=keep, sites=sites)
    return seen


def activation_patching(
    model: nn.Module,
    clean: Tensor,
    corrupted: Tensor,
    metric: Metric,
    sites: Sequence[Site],
    *,
    positions: Sequence[slice | list[int] | int] = (slice(None),),
) -> Float[Tensor, "site position"]:
    """Share of the behaviour that each site's clean value brings back at each choice of positions; 0 nothing, 1 all.

    Args:
        model: our own decoder or a transformers model.
        clean: tokens for which the metric is high.
        corrupted: tokens of the same shape for which it is low.
        metric: what the behaviour is; see `Metric`. Means over sequences are compared.
        sites: what is patched, one at a time.
        positions: where, one choice at a time.

    Raises:
        InputError: the prompts differ in shape, the model lacks a site, or the metric does not tell the prompts apart.
    """
    low, high = _baselines(model, clean, corrupted, metric)
    kept = values_at(model, clean, sites)
    shares = torch.empty(len(sites), len(positions))
    for i, site in enumerate(sites):
        for j, where in enumerate(positions):
            chosen = [where] if isinstance(where, int) else where
            put = at_positions(kept[site][..., chosen, :], chosen)
            shares[i, j] = (_mean(metric, _run(model, corrupted, {site: put})) - low) / (high - low)
    return shares


def path_patching(model: nn.Module, clean: Tensor, corrupted: Tensor, metric: Metric, sender: Site, receiver: Site) -> float:
    """Share of the behaviour that is lost when only the direct route from sender to receiver carries the corrupted value.

    Every other part between them keeps its clean value, so that nothing but the residual stream joins the two; after the
    receiver everything runs freely. 0 when the route does not matter, 1 when it carries all.

    Args:
        model: our own decoder or a transformers model.
        clean: tokens for which the metric is high.
        corrupted: tokens of the same shape for which it is low.
        metric: what the behaviour is; see `Metric`.
        sender: an attn_out or mlp_out, or resid_pre(0) for the embeddings.
        receiver: an attn_out or mlp_out after it.

    Raises:
        InputError: the sites are no parts that add to the stream, or the receiver does not come after the sender.
    """
    parts = [site for site in every_site(model) if site.name in ("attn_out", "mlp_out") and _has(model, site)]
    source = Site("resid_pre", 0)
    if receiver not in parts or sender not in (source, *parts):
        raise InputError(
            f"a path goes from an attn_out, an mlp_out or the embeddings to an attn_out or mlp_out; got {sender} to {receiver}"
        )
    after = parts.index(sender) if sender != source else -1
    if parts.index(receiver) <= after:
        raise InputError(f"the receiver must come after the sender; got {sender} to {receiver}")
    low, high = _baselines(model, clean, corrupted, metric)
    frozen = values_at(model, clean, parts)
    sent = values_at(model, corrupted, [sender])[sender]
    held = {site: frozen[site] for site in parts[after + 1 : parts.index(receiver)]} | {sender: sent}
    received: list[Tensor] = []

    def hold(site: Site, value: Tensor) -> Tensor | None:
        if site == receiver:
            received.append(value)
            return None
        return held[site]

    with torch.no_grad():
        logits_of(model, clean, visit=hold, sites=(*held, receiver))
    patched = _run(model, clean, {receiver: lambda value: received[0]})
    return (high - _mean(metric, patched)) / (high - low)


def _baselines(model: nn.Module, clean: Tensor, corrupted: Tensor, metric: Metric) -> tuple[float, float]:
    if clean.shape != corrupted.shape:
        raise InputError(
            f"clean and corrupted prompts must have one shape; got {list(clean.shape)}, {list(corrupted.shape)}. Pair them"
        )
    low, high = _mean(metric, _run(model, corrupted, {})), _mean(metric, _run(model, clean, {}))
    _apart(low, high)
    return low, high


def _apart(low: float, high: float) -> float:
    if not abs(high - low) > 1e-6:
        raise InputError(
            f"the metric must tell clean from corrupted prompts; it is {high:.4g} on both. Choose others, or another metric"
        )
    return high - low


def _run(model: nn.Module, tokens: Tensor, edits: Mapping[Site, Callable[[Tensor], Tensor]]) -> Tensor:
    with torch.no_grad():
        return logits_of(model, tokens, visit=lambda site, value: edits[site](value), sites=tuple(edits))


def _mean(metric: Metric, logits: Tensor) -> float:
    return float(metric(logits).double().mean())


def _has(model: nn.Module, site: Site) -> bool:
    config = getattr(model, "config", None)
    return site.name != "mlp_out" or bool(getattr(config, "d_mlp", True))
