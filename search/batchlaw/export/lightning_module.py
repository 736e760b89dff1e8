"""The PyTorch Lightning form of an export: a mixin for a LightningModule, the batches and the Trainer's arguments."""

from batchlaw.export.accumulation import micro_batches
from batchlaw.export.provenance import Provenance
from batchlaw.export.refusal import check_whole_recipe, refused
from batchlaw.export.snippet import imports, recipe
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES

_MODULE = '''\
"""Trial {trial} of study {study}, exported by batchlaw for PyTorch Lightning."""

{comment}
{imports}
{recipe}

MICRO_BATCHES = {micro_batches}  # parts of a step
TRAINER = {{"max_steps": STEPS, "max_epochs": -1, "accumulate_grad_batches": MICRO_BATCHES}}


class Tuned:
    """Mix in ahead of LightningModule: class Model(Tuned, LightningModule)."""

    def configure_optimizers(self) -> dict:
        optimizer = build_optimizer(self)
        schedule = {{"scheduler": build_schedule(optimizer), "interval": "step"}}
        return {{"optimizer": optimizer, "lr_scheduler": schedule}}


class Batches(torch.utils.data.Sampler):
    """The batches of the whole run, from shuffled passes joined end to end: every step sees exactly its batch size.

    To Lightning the run is one epoch. Where the batch does not grow, a DataLoader with
    batch_size=BATCH_SIZE // MICRO_BATCHES, shuffle=True and drop_last=True comes close, and keeps the epochs.
    """

    def __init__(self, n_examples: int) -> None:
        self.n_examples = n_examples

    def __len__(self) -> int:
        return STEPS * MICRO_BATCHES

    def __iter__(self):
        stream = itertools.chain.from_iterable(torch.randperm(self.n_examples).tolist() for _ in itertools.count())
        for step in range(STEPS):
            for _ in range(MICRO_BATCHES):
                yield list(itertools.islice(stream, phase(step)[0] // MICRO_BATCHES))


if __name__ == "__main__":  # put your model and data in here
    from pytorch_lightning import LightningModule, Trainer, seed_everything  # or from lightning.pytorch

    class Model(Tuned, LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = torch.nn.Linear(64, 10)

        def training_step(self, batch, _):
            images, labels = batch
            rate = self.optimizers().param_groups[0]["lr"]
            print(f"step {{self.global_step}}: {{len(images)}} examples, learning rate {{rate:.6g}}")
            return torch.nn.functional.cross_entropy(self.network(images), labels)

    seed_everything({seed})
    dataset = torch.utils.data.TensorDataset(torch.randn(256, 64), torch.randint(10, (256,)))
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=Batches(len(dataset)))
    trainer = Trainer(**(TRAINER | {{"max_steps": min(STEPS, 5)}}), logger=False, enable_checkpointing=False)
    trainer.fit(Model(), loader)
'''


def lightning_module(config: TrainConfig, provenance: Provenance) -> str:
    """A module that trains this configuration under Lightning's Trainer, batch growth included.

    Raises:
        BatchlawError: its optimizer is schedule-free; it has no learning rate, batch size or number of steps; or the
            batch grows, and its sizes do not split into equal micro-batches.
    """
    check_whole_recipe(config, "lightning")
    if not FAMILIES[config.optimizer].scheduled:
        why = "its train() and eval() have to be called, for which LightningModules have hooks of their own"
        raise refused("lightning", "optimizer", config.optimizer, why)
    return _MODULE.format(
        trial=provenance.trial,
        study=provenance.study,
        comment=provenance.comment(),
        imports=imports(config, "itertools"),
        recipe=recipe(config),
        micro_batches=micro_batches(config, "lightning"),
        seed=config.seeds[0],
    )
