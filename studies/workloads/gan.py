"""A small GAN on Fashion-MNIST: two optimizers, one batch size. With --score it scores what it has trained.

The score is the Fréchet distance between generated and unseen images, each described by its first 32 principal
components of the training images: the formula of the FID (Heusel et al. 2017) without its Inception network.
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

DATA = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
NOISE, COMPONENTS, SCORED = 32, 32, 2000


def images(name: str, n: int) -> Tensor:
    """The first images of a file, from -1 to 1, (n, 784)."""
    with gzip.open(DATA / f"{name}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(16 + 784 * n), np.uint8, offset=16)
    return torch.from_numpy(pixels.reshape(-1, 784) / np.float32(127.5)) - 1


def generator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(NOISE, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 784), nn.Tanh())


def frechet(first: Tensor, second: Tensor) -> float:
    """The squared Fréchet distance of two normal distributions with the moments of the samples."""
    means = [sample.double().mean(0) for sample in (first, second)]
    a, b = (torch.cov(sample.double().T) for sample in (first, second))
    overlap = torch.linalg.eigvals(a @ b).real.clamp_min(0).sqrt().sum()
    return ((means[0] - means[1]).square().sum() + a.trace() + b.trace() - 2 * overlap).item()


def score(file: Path) -> None:
    model = generator()
    model.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(0)
    training = images("train", SCORED)
    _, _, axes = torch.pca_lowrank(training, q=COMPONENTS)
    with torch.no_grad():
        generated = model.eval()(torch.randn(SCORED, NOISE))
    print(json.dumps({"frechet": frechet(generated @ axes, images("t10k", SCORED) @ axes)}))


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    data = images("train", 10_000)
    maker, judge = generator(), nn.Sequential(nn.Linear(784, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))
    betas = (0.5, 0.999)  # Radford et al. 2016
    optimizers = [
        torch.optim.Adam(model.parameters(), lr=rate, betas=betas)
        for model, rate in ((maker, args.lr), (judge, args.lr * args.judge_ratio))
    ]
    for step in range(1, args.steps + 1):
        real = data[torch.randint(len(data), (args.batch_size,))]
        fake = maker(torch.randn(args.batch_size, NOISE))
        loss = softplus(judge(fake.detach())).mean() + softplus(-judge(real)).mean()
        judge.zero_grad()
        loss.backward()
        optimizers[1].step()
        maker.zero_grad()
        softplus(-judge(fake)).mean().backward()  # the non-saturating loss of Goodfellow et al. 2014
        optimizers[0].step()
        if step % max(1, args.steps // 4) == 0:
            print(json.dumps({"progress": step / args.steps, "judge_loss": loss.item()}), flush=True)
    torch.save(maker.state_dict(), args.file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--score", action="store_true")
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--judge-ratio", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.score:
        score(args.file)
    else:
        train(args)


if __name__ == "__main__":
    main()
