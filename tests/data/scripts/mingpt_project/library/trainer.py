"""The trainer of the project beside."""


class CfgNode:
    def merge_from_args(self, words):
        for word in words:
            name, _, value = word.removeprefix("--").partition("=")
            setattr(self, name, value)


class Trainer:
    @staticmethod
    def get_default_config():
        C = CfgNode()
        C.device = "auto"
        C.num_workers = 4
        C.max_iters = None
        C.batch_size = 64
        C.learning_rate = 3e-4
        C.betas = (0.9, 0.95)
        C.weight_decay = 0.1
        C.grad_norm_clip = 1.0
        return C
