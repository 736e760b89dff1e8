"""A language model, and a stack of several as one network."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, layer_norm, scaled_dot_product_attention

Layer = TypeVar("Layer", nn.Linear, nn.Embedding)
_STD = 0.02  # of the initial weights: Radford et al. 2019 (GPT-2), section 2.3, as their code has it


class GPT(nn.Module):
    """A decoder of pre-norm blocks as GPT-2 has it (Radford et al. 2019), without biases and dropout.

    In a stack every parameter has the members first, and so have tokens and logits. The members then share each matrix
    product and each attention.

    Args:
        n_tokens: of the vocabulary.
        context: the most tokens of an example.
        width: features of a token.
        depth: blocks.
        heads: of attention; they share the width.
    """

    def __init__(self, n_tokens: int, context: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embedding = _initial(nn.Embedding(n_tokens, width))
        self.positions = _initial(nn.Embedding(context, width))
        self.blocks = nn.ModuleList(_Block(width, depth, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = _initial(nn.Linear(width, n_tokens, bias=False))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ([members,] batch, context) to logits of the next ones ([members,] batch, context, n_tokens)."""
        shape, length = tokens.shape, tokens.shape[-1]
        tokens = tokens.int()
        table: Tensor = self.embedding.weight
        if table.ndim == 3:
            first = torch.arange(len(table), device=tokens.device, dtype=torch.int32) * table.shape[1]
            tokens, table = tokens + first[:, None, None], table.flatten(0, 1)
        hidden = embedding(tokens, table) + self.positions.weight[..., :length, :].unsqueeze(-3)
        hidden = hidden.flatten(-3, -2)  # ([members,] batch · context, width)
        for block in self.blocks:
            hidden = block(hidden, length)
        return _product(_normed(hidden, self.norm), self.head).view(*shape, -1)


class _Block(nn.Module):
    """Attention to earlier tokens, then a perceptron, each added to what it is given."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        residual = _STD / (2 * depth) ** 0.5  # of what is added to the residual stream (GPT-2, section 2.3)
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.queries_keys_values = _initial(nn.Linear(width, 3 * width, bias=False))
        self.attention_out = _initial(nn.Linear(width, width, bias=False), residual)
        self.perceptron_norm = nn.LayerNorm(width, bias=False)
        self.perceptron_in = _initial(nn.Linear(width, 4 * width, bias=False))
        self.perceptron_out = _initial(nn.Linear(4 * width, width, bias=False), residual)

    def forward(self, hidden: Tensor, length: int) -> Tensor:
        """Features ([members,] tokens, width) of examples of `length` tokens."""
        projected = _product(_normed(hidden, self.attention_norm), self.queries_keys_values)
        split = projected.view(-1, length, 3, self.heads, hidden.shape[-1] // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)  # (examples, heads, length, features of a head)
        mixed = scaled_dot_product_attention(queries, keys, values, is_causal=True)
        hidden = hidden + _product(mixed.transpose(1, 2).reshape(hidden.shape), self.attention_out)
        inner = gelu(_product(_normed(hidden, self.perceptron_norm), self.perceptron_in))
        return hidden + _product(inner, self.perceptron_out)


def _initial(layer: Layer, std: float = _STD) -> Layer:
    """A layer with normal initial weights."""
    nn.init.normal_(layer.weight, std=std)
    return layer


def _product(hidden: Tensor, layer: nn.Linear) -> Tensor:
    """A layer of features ([members,] tokens, width)."""
    return hidden @ layer.weight.mT


def _normed(hidden: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Layer norm of features ([members,] tokens, width)."""
    weight = norm.weight
    if weight.ndim == 1:
        return layer_norm(hidden, weight.shape, weight)
    return layer_norm(hidden, weight.shape[-1:]) * weight.unsqueeze(-2)
