"""Takes the flags of pytorch/examples' mnist, and prints what it prints; it trains nothing."""

import argparse


def main():
    parser = argparse.ArgumentParser(description="MNIST example")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="examples of a batch (default: 64)")
    parser.add_argument("--test-batch-size", type=int, default=1000, metavar="N", help="when testing (default: 1000)")
    parser.add_argument("--epochs", type=int, default=14, metavar="N", help="passes to train for (default: 14)")
    parser.add_argument("--lr", type=float, default=1.0, metavar="LR", help="learning rate (default: 1.0)")
    parser.add_argument("--gamma", type=float, default=0.7, metavar="M", help="factor of a step (default: 0.7)")
    parser.add_argument("--no-accel", action="store_true", help="leaves the accelerator alone")
    parser.add_argument("--dry-run", action="store_true", help="a single batch")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="random seed (default: 1)")
    parser.add_argument("--log-interval", type=int, default=10, metavar="N", help="batches between lines")
    parser.add_argument("--save-model", action="store_true", help="keeps the model")
    args = parser.parse_args()
    import torch.optim as optim

    assert optim.Adadelta and args.lr
    loss, correct, n = 0.5, 90, 100
    print(f"\nTest set: Average loss: {loss:.4f}, Accuracy: {correct}/{n} ({100.0 * correct / n:.0f}%)\n")


if __name__ == "__main__":
    main()
