"""The network of our own chunk policy: a small transformer (imports torch)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class ModelSettings:
    """Sizes of the network; ``state_tokens`` is how many tokens the state becomes."""

    state_size: int
    action_size: int
    horizon: int = 16
    state_tokens: int = 2
    width: int = 64
    layers: int = 3
    heads: int = 4
    feedforward: int = 192

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class ChunkTransformer(nn.Module):
    """Normalised states ``(B, S)`` to normalised action chunks ``(B, H, A)``.

    Action chunking with transformers (Zhao et al. 2023, arXiv:2304.13705) without its
    variational part: the state becomes a few tokens, each action of the chunk a learned query,
    and all attend to each other.

    The first actions of a chunk may be given: those that a robot executes while the network
    thinks. Rows of ``given (B, H, A)`` count where ``frozen (B, H)`` is 1, and the rest of the
    chunk continues them (training-time action conditioning, Black et al. 2025,
    arXiv:2512.05964).
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.embed = nn.Sequential(
            nn.Linear(s.state_size, 2 * s.width),
            nn.GELU(),
            nn.Linear(2 * s.width, s.state_tokens * s.width),
        )
        self.queries = nn.Parameter(torch.randn(s.horizon, s.width) * 0.02)
        self.given = nn.Linear(s.action_size, s.width)
        self.token_kind = nn.Parameter(torch.randn(s.state_tokens, s.width) * 0.02)
        self.blocks = nn.ModuleList(
            _Block(s.width, s.heads, s.feedforward) for _ in range(s.layers)
        )
        self.norm = nn.LayerNorm(s.width)
        self.head = nn.Linear(s.width, s.action_size)

    def forward(
        self, states: torch.Tensor, given: torch.Tensor, frozen: torch.Tensor
    ) -> torch.Tensor:
        s = self.settings
        state = self.embed(states).reshape(-1, s.state_tokens, s.width) + self.token_kind
        queries = self.queries + self.given(given) * frozen[..., None]
        tokens = torch.cat([state, queries], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens[:, s.state_tokens :]))


class _Block(nn.Module):
    """A pre-norm transformer layer, spelled out so that it exports to plain operators."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Linear(feedforward, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm_1(x)).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.norm_2(x))
