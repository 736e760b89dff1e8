"""Adam and AdamW without bias correction, as BERT was trained.

Exports copy what follows the import, so that it needs torch alone.
"""

import torch


class UncorrectedAdam(torch.optim.Optimizer):
    """m = β₁m + (1-β₁)g, v = β₂v + (1-β₂)g², θ -= ε(m/(√v + eps) + λθ).

    So `AdamWeightDecayOptimizer` of BERT's `optimization.py` has it (Devlin et al. 2019), bit by bit. Both moments
    begin at zero: without correction the first step is (1-β₁)/√(1-β₂) times as long, 3.2 with the usual values.

    Args:
        params: parameters or groups.
        lr: learning rate ε.
        betas: β₁ and β₂.
        eps: added to √v.
        weight_decay: λ.
        decoupled: False: λθ is added to the gradient, as in Adam.
    """

    def __init__(
        self,
        params: list[dict[str, object]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        decoupled: bool = True,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update."""
        for group in self.param_groups:
            lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient, state = parameter.grad, self.state[parameter]
                if not state:
                    state["m"], state["v"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                if decay and not group["decoupled"]:
                    gradient = gradient + parameter * decay
                # Products of their own: `add_` with a factor and `addcmul_` round once where BERT rounds twice.
                m = state["m"].mul_(beta1).add_(gradient * (1 - beta1))
                v = state["v"].mul_(beta2).add_(gradient.square() * (1 - beta2))
                update = m / v.sqrt().add_(group["eps"])
                if decay and group["decoupled"]:
                    update.add_(parameter * decay)
                parameter.sub_(update.mul_(lr))
