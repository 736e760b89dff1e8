"""Training scripts of the user's: the flags that they take, what these mean, and a study file that searches them."""

from batchlaw.scripts.reading import read_script as read_script
from batchlaw.scripts.study_text import Draft as Draft
from batchlaw.scripts.study_text import study_text as study_text
