"""Muon for the matrices of hidden layers, AdamW for the rest, as one optimizer of one learning rate.

Exports copy what follows the import, so that it needs torch alone.
"""

import torch


def hidden_matrices(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The weights for Muon: all matrices but those of embeddings and of the output layer, the last that has one.

    So Muon's authors and the documentation of `torch.optim.Muon` have it. Filters of convolutions are no matrices.
    """
    layers = [
        (module, [parameter for parameter in module.parameters(recurse=False) if parameter.ndim == 2])
        for module in model.modules()
    ]
    layers = [(module, matrices) for module, matrices in layers if matrices]
    others = {
        id(matrix) for module, matrices in layers if isinstance(module, torch.nn.Embedding) for matrix in matrices
    }
    others |= {id(matrix) for _, matrices in layers[-1:] for matrix in matrices}
    return [matrix for _, matrices in layers for matrix in matrices if id(matrix) not in others]


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps of `torch.optim.Muon` for the groups with "muon": True, and of `torch.optim.AdamW` for the others.

    Both have one learning rate and one weight decay: Muon's orthogonal updates are multiplied by 0.2·√max(rows,
    columns), which gives them the root mean square of AdamW's (Liu et al. 2025, arXiv:2502.16982, section 2.2;
    `adjust_lr_fn="match_rms_adamw"`).
    """

    def __init__(
        self,
        params: list[dict[str, object]],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": 0.0, "muon": False})
        self._parts: list[torch.optim.Optimizer] = []
        if any(group["muon"] for group in self.param_groups):
            groups = [group for group in self.param_groups if group["muon"]]
            self._parts.append(torch.optim.Muon(groups, lr, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if not all(group["muon"] for group in self.param_groups):
            groups = [group for group in self.param_groups if not group["muon"]]
            self._parts.append(torch.optim.AdamW(groups, lr, betas=betas, eps=eps, fused=fused))
        self._share()

    def _share(self) -> None:
        """Have the parts work on the groups and the state of this optimizer."""
        for part in self._parts:
            is_muon = isinstance(part, torch.optim.Muon)
            part.param_groups = [group for group in self.param_groups if group["muon"] == is_muon]
            part.state = self.state

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Continue from a state."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update."""
        for part in self._parts:
            part.step()
