"""Takes the flags of pytorch/examples' word_language_model, whose help does not tell defaults; it trains nothing."""

import argparse

parser = argparse.ArgumentParser(description="a language model")
parser.add_argument("--data", type=str, default="./data/wikitext-2", help="where the texts are")
parser.add_argument("--model", type=str, default="LSTM", help="RNN_TANH, RNN_RELU, LSTM, GRU or Transformer")
parser.add_argument("--emsize", type=int, default=200, help="size of embeddings")
parser.add_argument("--nhid", type=int, default=200, help="hidden units of a layer")
parser.add_argument("--nlayers", type=int, default=2, help="layers")
parser.add_argument("--lr", type=float, default=20, help="learning rate at first")
parser.add_argument("--clip", type=float, default=0.25, help="clips gradients")
parser.add_argument("--epochs", type=int, default=40, help="epochs at most")
parser.add_argument("--batch_size", type=int, default=20, metavar="N", help="batch size")
parser.add_argument("--bptt", type=int, default=35, help="length of a sequence")
parser.add_argument("--dropout", type=float, default=0.2, help="of layers (0 = none)")
parser.add_argument("--tied", action="store_true", help="shares weights")
parser.add_argument("--seed", type=int, default=1111, help="random seed")
parser.add_argument("--log-interval", type=int, default=200, metavar="N", help="between lines")
parser.add_argument("--save", type=str, default="model.pt", help="where the model goes")
parser.add_argument("--onnx-export", type=str, default="", help="where the exported model goes")
parser.add_argument("--nhead", type=int, default=2, help="heads of the transformer")
parser.add_argument("--dry-run", action="store_true", help="checks the code")

if __name__ == "__main__":
    args = parser.parse_args()
    print(f"| end of epoch {1:3d} | time: {2.0:5.2f}s | valid loss {4.9:5.2f} | valid ppl {134.3:8.2f}")
    print(f"| End of training | test loss {4.8:5.2f} | test ppl {121.5:8.2f}")
