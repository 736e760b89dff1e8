"""What fits the memory of a device, as the trials of a study of the user's own code have learnt it."""

from typing import NamedTuple

from batchlaw.spec import StudySpec
from batchlaw.storage.retries import with_retries
from batchlaw.storage.stored_values import is_whole, shown
from batchlaw.storage.studies import StoredStudy

_FIT = "batchlaw:fit:"  # and the name of the device


class Fit(NamedTuple):
    """The most examples that a device of one kind computes at once."""

    most: int  # a trial came to its end with no more at once …
    refused: int  # … after it had run out of memory with so many

    def line(self, device: str) -> str:
        """For people."""
        return f"{device}: at most {self.most:,} examples at once, since {self.refused:,} ran out of memory"


def note_fit(stored: StoredStudy, device: str, fit: Fit) -> None:
    """Record what fits a kind of device, unless less is known to."""
    known = fits_of(stored).get(device)
    if known is None or fit.most < known.most:
        with_retries(lambda: stored.study.set_user_attr(_FIT + device, list(fit)))


def fits_of(stored: StoredStudy) -> dict[str, Fit]:
    """What `note_fit` recorded, by device."""
    found = {}
    for key, value in sorted(with_retries(lambda: stored.study.user_attrs).items()):
        if key.startswith(_FIT):
            if isinstance(value, list) and len(value) == 2 and all(is_whole(number) and number > 0 for number in value):
                found[key.removeprefix(_FIT)] = Fit(*value)
            else:
                stored.tell(f"what fits as stored cannot be read: {shown(value)}")
    return found


def spec_that_fits(stored: StoredStudy, device: str | None = None) -> StudySpec:
    """The study with no more examples at once than are known to fit a kind of device; None: those that are known."""
    spec = stored.spec
    if spec.user_code is None:
        return spec
    sizes = [fit.most for name, fit in fits_of(stored).items() if device in (None, name)]
    if spec.micro_batch_size is not None:
        sizes.append(spec.micro_batch_size)
    return spec.model_copy(update={"micro_batch_size": min(sizes, default=None)})
