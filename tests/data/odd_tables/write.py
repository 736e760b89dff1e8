"""Writes tables of runs in the manner of those that people have, with a planted best rate ∝ √B.

    python tests/data/odd_tables/write.py

What each is, and what may be said of it, stands in `tests/unit/claims/test_odd_tables.py`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
GRID = [(size, rate) for size in (16, 32, 64, 128, 256) for rate in (1e-4, 1e-3, 1e-2, 1e-1)]


def loss(rate: float, size: float, slope: float = 0.5) -> float:
    """Lowest at 1/64 for a batch of 64 examples, and steeper above."""
    off = np.log2(rate) + 6 - slope * (np.log2(size) - 6)
    return 0.3 + 0.06 * off**2 * (2.5 if off > 0 else 1.0)


def save(name: str, columns: str, rows: list[tuple[object, ...]]) -> None:
    frame = pd.DataFrame(rows, columns=columns.split("|"))
    frame.map(lambda cell: f"{cell:.5g}" if isinstance(cell, float) else cell).to_csv(HERE / f"{name}.csv", index=False)


def main() -> None:
    noise = np.random.default_rng(7)
    n = noise.normal
    save("students_grid", "batch_size|learning_rate|epochs|test accuracy|time (s)", [
        (size, rate, 10, f"{100 * np.exp(-loss(rate, size)) + n() / 2:.1f}%", 30 + 2000 / size) for size, rate in GRID
    ])  # fmt: skip
    save("random_trials", "number|value|params_batch_size|params_dropout|params_lr|state", [
        (i, loss(rate := 10 ** noise.uniform(-5, 0), size := int(noise.choice([16, 32, 64, 128]))) + 0.02 * n(), size,
         noise.uniform(0, 0.5), rate, "PRUNED" if i % 7 == 0 else "COMPLETE") for i in range(40)
    ])  # fmt: skip
    save("tpe_trials", "trial|val_loss|lr|batch_size", [
        (i, loss(rate := 2 ** (-6 + 3 * n() * np.exp(-i / 20) + 0.3 * n()),
                 size := int(noise.choice([32, 64, 128], p=[0.2, 0.6, 0.2]))) + 0.02 * n(), rate, size)
        for i in range(60)
    ])  # fmt: skip
    save("chosen_rates", "global_batch_size|base_lr|seed|steps_to_target|gpus", [
        (256 * 2**k, 0.1 * 2**k, seed, round(1e4 * (2 / 2**k + 1) + 50 * n()), 8 * 2**k)
        for k in range(5) for seed in range(5)
    ])  # fmt: skip
    rows = [(64, rate) for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)] + [(size, 1e-3) for size in (16, 32, 128, 256)]
    save("one_factor_at_a_time", "bs|lr|val_acc", [(size, rate, np.exp(-loss(rate, size))) for size, rate in rows])
    save("two_levels", "batch|lr|loss", [(s, rate, loss(rate, s)) for s in (32, 256) for rate in (1e-3, 1e-2)])
    save("means", "batch_size|lr|val_loss_mean|val_loss_std|n_seeds", [
        (size, 2.0**k, loss(2.0**k, size) + 0.005 * n(), 0.01 * np.sqrt(noise.chisquare(4) / 4), 5)
        for size in (16, 32, 64, 128, 256, 512) for k in range(-12, -1)
    ])  # fmt: skip
    save("matrix", "lr|16|32|64|128|256", [
        (rate, *(100 * np.exp(-loss(rate, size)) for size in (16, 32, 64, 128, 256)))
        for rate in (0.001, 0.003, 0.01, 0.03, 0.1)
    ])  # fmt: skip
    save("several_metrics", "batch_size|lr|train_loss|train_acc|val_acc|val_loss", [
        (size, rate, 0.9 * (lost := loss(rate, size)), np.exp(-0.9 * lost), np.exp(-lost), lost) for size, rate in GRID
    ])  # fmt: skip
    save("dropout", "batch_size|lr|dropout|val_loss", [
        (size, rate, drop, loss(rate, size) + 2 * (drop - 0.2) ** 2 + 0.01 * n())
        for size, rate in GRID for drop in (0.0, 0.2, 0.5)
    ])  # fmt: skip
    save("rate_not_applied", "batch_size|lr|loss", [
        (size, rate, 0.5 + 0.02 * np.log2(size) + 0.01 * n())
        for size in (16, 32, 64, 128, 256) for rate in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    ])  # fmt: skip
    save("chance_above", "batch_size|lr|accuracy", [
        (size, rate, 0.1 + 0.0005 * n() if rate >= 0.1 else np.exp(-loss(rate, size)))
        for size in (16, 32, 64, 128, 256) for rate in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    ])  # fmt: skip
    save("own_rates", "batch_size|lr|val_loss", [
        (size, rate := 2.0 ** (-6 + (np.log2(size) - 6) / 2 + 0.7 * k), loss(rate, size) + 0.005 * n())
        for size in (16, 32, 64, 128, 256, 512) for k in range(-3, 4)
    ])  # fmt: skip
    save("few_cells_with_seeds", "batch_size|lr|seed|val_loss", [
        *((64, 0.01, seed, 0.4 + 0.01 * n()) for seed in range(10)),
        *((size, rate, 0, loss(rate, size)) for size in (32, 64, 128) for rate in (0.003, 0.03)),
    ])  # fmt: skip
    save("seed_not_used", "batch_size|lr|seed|loss", [
        (2**j, 2.0**k, seed, loss(2.0**k, 2**j)) for j in range(3, 10) for k in range(-12, -1) for seed in range(3)
    ])  # fmt: skip
    save("two_budgets", "batch_size|lr|epochs|error", [
        (size, rate, epochs, loss(rate, size) - 0.1 * (epochs == 90) * size / 256 + 0.005 * n())
        for size, rate in GRID for epochs in (30, 90)
    ])  # fmt: skip


if __name__ == "__main__":
    main()
