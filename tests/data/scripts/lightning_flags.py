"""Prints the configuration of a LightningCLI as the library does; a stand-in, so that tests need not import it."""

import sys


class LightningCLI:
    def __init__(self, *_):
        if sys.argv[1:] != ["fit", "--print_config"]:
            raise SystemExit("error: expected fit --print_config")
        print("\x1b[0;35m\n     ####\n  ##########\n\x1b[0m")  # as `cli_lightning_logo` of its examples
        print(CONFIG)


CONFIG = """\
# lightning.pytorch==2.5
seed_everything: true
trainer:
  accelerator: auto
  devices: auto
  num_nodes: 1
  logger: null
  max_epochs: null
  max_steps: 1000
  limit_val_batches: null
  accumulate_grad_batches: 1
  gradient_clip_val: null
  default_root_dir: null
model:
  hidden_dim: 64
  dropout: 0.1
  learning_rate: 0.001
data:
  data_dir: ./data
  batch_size: 32
  num_workers: 4
optimizer:
  class_path: torch.optim.Adam
  init_args:
    weight_decay: 0.01
"""

if __name__ == "__main__":
    LightningCLI(None)
