"""One vocabulary of places inside a language model, over families of transformers and our own decoder.

    resid_pre   the residual stream as a block receives it                            [batch, pos, d_model]
    attn_out    what attention adds to the stream, after a norm behind it if there is one
    mlp_out     what the MLP adds to the stream, likewise
    resid_post  the stream as the block leaves it

In every family resid_post = resid_pre + attn_out + mlp_out, and resid_post of one layer is resid_pre of the next. `attn_out` of
one head is that head's mix of values before the output matrix, [batch, pos, d_head].

Looking never changes what is looked at: hooks live inside a `with` block, are removed on error too, and a visit that returns
nothing leaves the logits equal to the bit.

    with visiting(model, lambda site, value: print(site, value.shape), every_site(model)):
        model(input_ids)
    with captured(model, [resid_post(3)]) as seen, patched(model, {attn_out(2, head=1): 0.0}):
        model(input_ids)
    seen[resid_post(3)]
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.models.decoder import Decoder

__all__ = [
    "FAMILIES",
    "SITES",
    "Family",
    "Site",
    "SiteMap",
    "Visit",
    "at_positions",
    "attn_out",
    "captured",
    "every_site",
    "logits_of",
    "mlp_out",
    "patched",
    "resid_post",
    "resid_pre",
    "site_map",
    "visiting",
]

SITES = ("resid_pre", "attn_out", "mlp_out", "resid_post")
SiteName = Literal["resid_pre", "attn_out", "mlp_out", "resid_post"]


@dataclass(frozen=True, order=True)
class Site:
    """A place in a model.

    Attributes:
        name: one of `SITES`.
        layer: from 0.
        head: for `attn_out` only: one head's values before the output matrix; None for the whole.
    """

    name: SiteName
    layer: int
    head: int | None = None

    def __str__(self) -> str:
        return f"{self.name}, layer {self.layer}" + ("" if self.head is None else f", head {self.head}")


def resid_pre(layer: int) -> Site:
    """The residual stream as block `layer` receives it."""
    return Site("resid_pre", layer)


def attn_out(layer: int, head: int | None = None) -> Site:
    """What attention of block `layer` adds to the stream; with `head`, that head's values before the output matrix."""
    return Site("attn_out", layer, head)


def mlp_out(layer: int) -> Site:
    """What the MLP of block `layer` adds to the stream."""
    return Site("mlp_out", layer)


def resid_post(layer: int) -> Site:
    """The residual stream as block `layer` leaves it."""
    return Site("resid_post", layer)


Visit = Callable[[Site, Tensor], Tensor | None]
"""visit(site, value) is called when the model reaches a site; the tensor it returns replaces the value, None leaves it."""
Edit = Tensor | float | Callable[[Tensor], Tensor]
"""What stands at a site instead: a tensor or number (spread over the site's shape), or a function of what stood there."""


@dataclass(frozen=True)
class Family:
    """Where the sites of one transformers architecture are, as module paths.

    Attributes:
        model_type: of its configuration.
        layers: the list of blocks, below the language model.
        attn_out: the module inside a block whose output is added to the stream as attention's.
        heads: the output matrix; its input is the heads' values side by side.
        mlp_out: the module inside a block whose output is added to the stream as the MLP's.
        attention, mlp: the modules that hold their matrices, for training parts of a model.
    """

    model_type: str
    layers: str
    attn_out: str
    heads: str
    mlp_out: str
    attention: str
    mlp: str


def _llama(model_type: str) -> Family:
    """Norms stand before attention and MLP, whose own outputs are added: Touvron et al. 2023, arXiv:2302.13971."""
    return Family(model_type, "model.layers", "self_attn.o_proj", "self_attn.o_proj", "mlp", "self_attn", "mlp")


def _normed_after(model_type: str, after_mlp: str) -> Family:
    """A norm stands behind attention and MLP too, and what it gives is added."""
    return Family(model_type, "model.layers", "post_attention_layernorm", "self_attn.o_proj", after_mlp, "self_attn", "mlp")


FAMILIES = (
    _llama("llama"),
    _llama("mistral"),
    _llama("qwen2"),
    _llama("qwen3"),
    _llama("olmo"),
    _llama("gemma"),
    _normed_after("olmo2", "post_feedforward_layernorm"),
    _normed_after("olmo3", "post_feedforward_layernorm"),
    _normed_after("gemma2", "post_feedforward_layernorm"),
    _normed_after("gemma3_text", "post_feedforward_layernorm"),
    Family("gpt2", "transformer.h", "attn.resid_dropout", "attn.c_proj", "mlp", "attn", "mlp"),
    Family("gpt_neox", "gpt_neox.layers", "post_attention_dropout", "attention.dense", "post_mlp_dropout", "attention", "mlp"),
)


@dataclass(frozen=True)
class SiteMap:
    """The sites of one loaded model.

    Attributes:
        family: of its architecture.
        blocks: its layers.
        n_heads: of each layer.
    """

    family: Family
    blocks: tuple[nn.Module, ...]
    n_heads: int

    @property
    def n_layers(self) -> int:
        """How many blocks."""
        return len(self.blocks)

    def check(self, site: Site, *, doing: str = "look") -> None:
        """Nothing when the model has the site.

        Raises:
            InputError: there is no such site, layer or head.
        """
        if site.name not in SITES:
            raise InputError(unknown_name("site", str(site.name), SITES, see=f"Sites are {', '.join(SITES)}"))
        if not 0 <= site.layer < self.n_layers:
            raise InputError(f"{doing} at {site}: this model has layers 0–{self.n_layers - 1}")
        if site.head is not None and site.name != "attn_out":
            raise InputError(f"{doing} at {site}: only attn_out is split by head. Leave the head out")
        if site.head is not None and not 0 <= site.head < self.n_heads:
            raise InputError(f"{doing} at {site}: this model has heads 0–{self.n_heads - 1}")
        path = {"attn_out": self.family.attn_out if site.head is None else self.family.heads, "mlp_out": self.family.mlp_out}
        if site.name in path and _below(self.blocks[site.layer], path[site.name]) is None:
            raise InputError(f"{doing} at {site}: this block has no '{path[site.name]}', so the site is missing here")

    def attach(self, site: Site, visit: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `visit` whenever the model reaches the site, until the handle is removed."""
        block = self.blocks[site.layer]
        if site.name == "resid_pre":
            return block.register_forward_pre_hook(partial(_before_block, visit), with_kwargs=True)
        if site.name == "resid_post":
            return block.register_forward_hook(partial(_after, visit))
        if site.head is not None:
            module = block.get_submodule(self.family.heads)
            return module.register_forward_pre_hook(partial(_before_heads, visit, site.head, self.n_heads))
        return block.get_submodule(
            self.family.attn_out if site.name == "attn_out" else self.family.mlp_out
        ).register_forward_hook(partial(_after, visit))


def site_map(model: nn.Module) -> SiteMap:
    """The sites of a transformers model (or of one with a PEFT adapter around it).

    Raises:
        InputError: its architecture has no site map.
    """
    whole = unwrapped(model)
    kind = str(getattr(getattr(whole, "config", None), "model_type", type(whole).__name__))
    family = next((family for family in FAMILIES if family.model_type == kind), None)
    if family is None:
        known = ", ".join(family.model_type for family in FAMILIES)
        raise InputError(
            f"looking inside '{visible(kind)}' needs a site map, and none is known: {', '.join(SITES)} are missing. "
            f"Scoring and fine-tuning work. Known architectures: {known}"
        )
    blocks = _below(whole, family.layers)
    if not isinstance(blocks, nn.ModuleList):
        raise InputError(
            f"a '{kind}' model must have its blocks at '{family.layers}'; this one has not: {', '.join(SITES)} are missing. "
            "Load it as a causal language model"
        )
    return SiteMap(family, tuple(blocks), int(whole.config.num_attention_heads))


def unwrapped(model: nn.Module) -> Any:
    """The transformers model inside of a PEFT or data-parallel wrapper, or the model itself."""
    while True:
        base: Any = getattr(model, "get_base_model", None)
        if base is not None:
            model = base()
        elif isinstance(inner := getattr(model, "module", None), nn.Module) and not hasattr(model, "config"):
            model = inner
        else:
            return model


def every_site(model: nn.Module) -> tuple[Site, ...]:
    """All sites of a model but the single heads, in the order the tensors flow."""
    n_layers = model.config.n_layers if isinstance(model, Decoder) else site_map(model).n_layers
    return tuple(Site(name, layer) for layer in range(n_layers) for name in SITES)  # type: ignore[arg-type]


@contextmanager
def visiting(model: nn.Module, visit: Visit, sites: Iterable[Site], *, doing: str = "look") -> Iterator[None]:
    """Inside the block, every forward pass of the model calls `visit` at the sites; see `Visit`.

    Args:
        model: a transformers model, or one with an adapter around it. (For our own `Decoder` use `logits_of`.)
        visit: what is called; it may be called once for each forward pass.
        sites: where.
        doing: the verb of error messages.

    Raises:
        InputError: the model lacks a site.
    """
    if isinstance(model, Decoder):
        raise InputError(
            "our own decoder is visited through its forward pass; call logits_of(model, tokens, visit=..., sites=...)"
        )
    where = site_map(model)
    wanted = list(dict.fromkeys(sites))
    for site in wanted:
        where.check(site, doing=doing)
    handles: list[RemovableHandle] = []
    try:
        for site in wanted:
            handles.append(where.attach(site, partial(visit, site)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def captured(model: nn.Module, sites: Iterable[Site], *, keep_graph: bool = False) -> Iterator[dict[Site, Tensor]]:
    """A dictionary that holds, after a forward pass inside the block, the value of each site.

    Values are detached copies unless `keep_graph`, which keeps them part of the graph for gradients. A second pass overwrites.

    Raises:
        InputError: the model lacks a site.
    """
    seen: dict[Site, Tensor] = {}

    def keep(site: Site, value: Tensor) -> None:
        seen[site] = value if keep_graph else value.detach().clone()

    with visiting(model, keep, sites, doing="capture"):
        yield seen


@contextmanager
def patched(model: nn.Module, edits: Mapping[Site, Edit]) -> Iterator[None]:
    """Inside the block, every forward pass has the given values at the given sites; see `Edit` and `at_positions`.

    Raises:
        InputError: the model lacks a site, or (in the forward pass) a value does not fit the site's shape.
    """

    def put(site: Site, value: Tensor) -> Tensor:
        edit = edits[site]
        new = _spread(edit, value)
        if new.shape == value.shape:
            return new
        try:
            return new.expand(value.shape)
        except RuntimeError as error:
            raise InputError(
                f"patch at {site}: the value must have the shape {list(value.shape)} or spread to it; got {list(new.shape)}"
            ) from error

    with visiting(model, put, edits, doing="patch"):
        yield


def at_positions(edit: Edit, positions: slice | list[int] | int) -> Callable[[Tensor], Tensor]:
    """The edit, at some positions only: a tensor or number for those positions, or a function of what stood there."""
    chosen = [positions] if isinstance(positions, int) else positions

    def put(value: Tensor) -> Tensor:
        new = value.clone()
        new[..., chosen, :] = _spread(edit, value[..., chosen, :])
        return new

    return put


def logits_of(model: nn.Module, tokens: Tensor, *, visit: Visit | None = None, sites: Iterable[Site] = ()) -> Tensor:
    """Logits [batch, pos, vocab] of a transformers model or of our own decoder, visiting the sites on the way.

    An instrument written on this function runs on a one-layer toy and on a pretrained model alike.

    Raises:
        InputError: the model lacks a site.
    """
    wanted = set(sites)
    if not isinstance(model, Decoder):
        if visit is None:
            return _logits(model, tokens)
        with visiting(model, visit, wanted):
            return _logits(model, tokens)
    for site in wanted:
        model.config.check_site(site.name, site.layer)
        if site.head is not None:
            raise InputError(f"look at {site}: our own decoder has no single heads at attn_out. Use its site 'pattern'")

    def visitor(name: str, layer: int, value: Tensor) -> Tensor | None:
        site = Site(name, layer) if name in SITES else None  # type: ignore[arg-type]
        return visit(site, value) if visit is not None and site in wanted else None

    logits: Tensor = model(tokens, visit=visitor)
    return logits


def _logits(model: nn.Module, tokens: Tensor) -> Tensor:
    logits: Tensor = model(input_ids=tokens, use_cache=False).logits
    return logits


def _spread(edit: Edit, value: Tensor) -> Tensor:
    if isinstance(edit, (Tensor, int, float)):
        return torch.as_tensor(edit, dtype=value.dtype, device=value.device)
    return edit(value)


def _below(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None


def _before_block(
    visit: Callable[[Tensor], Tensor | None], block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    new = visit(args[0] if args else kwargs["hidden_states"])
    if new is None:
        return None
    return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})


def _before_heads(
    visit: Callable[[Tensor], Tensor | None], head: int, n_heads: int, module: nn.Module, args: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    heads = args[0].unflatten(-1, (n_heads, -1))
    new = visit(heads[..., head, :])
    if new is None:
        return None
    heads = heads.clone()
    heads[..., head, :] = new
    return (heads.flatten(-2), *args[1:])


def _after(visit: Callable[[Tensor], Tensor | None], module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    if isinstance(output, tuple):  # some blocks return their attention pattern too
        new = visit(output[0])
        return None if new is None else (new, *output[1:])
    return visit(output)
