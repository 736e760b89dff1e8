"""The stream of training examples: shuffled passes, one after another, so that no batch is smaller than the others."""

from typing import Any

import torch
from torch import Tensor


class ExampleStream:
    """Indices of training examples; each pass of `n` indices has every example once."""

    def __init__(self, n: int, seed: int, device: torch.device) -> None:
        self._n = n
        self._device = device
        self._generator = torch.Generator(device=device).manual_seed(seed)
        self._pass = self._shuffle()
        self._position = 0

    def _shuffle(self) -> Tensor:
        return torch.randperm(self._n, generator=self._generator, device=self._device)

    def state(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        return {"pass": self._pass, "position": self._position, "generator": self._generator.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of a checkpoint."""
        self._pass, self._position = state["pass"], state["position"]
        self._generator.set_state(state["generator"].cpu())

    def take(self, batch_size: int) -> Tensor:
        """The next `batch_size` indices, int64 (batch_size,)."""
        end = self._position + batch_size
        if end <= self._n:
            taken = self._pass[self._position : end]
            self._position = end
            return taken
        parts = [self._pass[self._position :]]
        missing = end - self._n
        while missing > 0:
            self._pass = self._shuffle()
            self._position = min(missing, self._n)
            parts.append(self._pass[: self._position])
            missing -= self._position
        return torch.cat(parts)
