"""A plain PyTorch training script: it takes arguments and prints JSON lines."""

import argparse
import json

import torch
from sklearn.datasets import load_digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--optimizer", choices=["momentum", "adamw"], default="momentum")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    images, labels = images.float() / 16, labels.long()
    train = torch.utils.data.TensorDataset(images[:1000], labels[:1000])
    loader = torch.utils.data.DataLoader(train, batch_size=args.batch_size, shuffle=True, drop_last=True)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    if args.optimizer == "momentum":
        optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)

    step = 0
    while step < args.steps:
        for batch, target in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch), target).backward()
            optimizer.step()
            step += 1
            if step % max(1, args.steps // 10) == 0 or step == args.steps:
                with torch.no_grad():
                    accuracy = (model(images[1000:1400]).argmax(1) == labels[1000:1400]).float().mean().item()
                print(json.dumps({"progress": step / args.steps, "validation_accuracy": accuracy}), flush=True)
            if step == args.steps:
                break


if __name__ == "__main__":
    main()
