"""A trained model to use: its predictions for texts, as a pandas frame."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from artificial_pain import distributed
from artificial_pain.data.vocabulary import INTENSITIES, PROBABILITY
from artificial_pain.encoders import Encoder, load_tokenizer
from artificial_pain.errors import UserError, logger
from artificial_pain.evaluation import classification, predictions, readings
from artificial_pain.evaluation.calibration import Calibration
from artificial_pain.evaluation.readings import READINGS
from artificial_pain.modeling.batches import longest_first
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.runs import status


class Ensemble:
    """Finished runs of one setting as one model: the mean of their probabilities and intensities."""

    def __init__(self, run_folders: Sequence[str | Path], calibrated_intensities: bool = False):
        """Raises UserError where a run is of another setting than the first, or as `Predictor` does."""
        records = [status.finished_record(Path(folder)) for folder in run_folders]
        settings = list(map(status.but_for_the_seed, records))
        seeds = [record["seed"] for record in records]
        for i, folder in enumerate(run_folders):
            if settings[i] != settings[0] or seeds[i] in seeds[:i]:
                is_same = settings[i] == settings[0]
                other = "the same seed as another run" if is_same else "another setting or other data"
                raise UserError(f"{folder}: has {other}: give runs that differ in their seed alone")
        self.predictors = [Predictor(folder, calibrated_intensities) for folder in run_folders]

    def __call__(self, texts: str | Sequence[str], batch_size: int = 32) -> pd.DataFrame:
        """As a `Predictor`. The emotion is the most probable one, and the intensities are the means of what each run
        says at its own."""
        frames = [predictor(texts, batch_size) for predictor in self.predictors]
        return predictions.average(frames, "emotion", PROBABILITY)


class Predictor:
    """The model of a finished run, its weights verified, on an accelerator where there is one."""

    def __init__(self, run_folder: str | Path, calibrated_intensities: bool = False):
        """calibrated_intensities: by the slopes and intercepts in the run's configuration.

        Raises UserError where the folder has no finished run, or a file of the run is damaged.
        """
        folder = Path(run_folder)
        self.device = distributed.device()
        status.require_valid(folder, status.finished_record(folder))
        self.model = EmotionModel.from_pretrained(folder).to(self.device).eval()
        self.tokenizer = load_tokenizer(Encoder(str(folder), folder, None))
        self.calibration = Calibration(**(self.model.config.calibration or {}))  # a run of before has none
        if not calibrated_intensities:
            self.calibration = Calibration(self.calibration.temperature)
        self.label_names = [self.model.config.id2label[i] for i in range(self.model.config.num_labels)]

    def __call__(self, texts: str | Sequence[str], batch_size: int = 32) -> pd.DataFrame:
        """A row for each text: `text`, its `emotion`, a `probability_` for each label, calibrated by the temperature,
        and, if the model has them, the intensities: `initial`, `final` and `change` at that emotion, and
        `initial_expected` and so on, weighted by the probabilities. A single text is one row.

        The model reads no more tokens of a text than it was trained on; a warning says how many texts are longer.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        logits = np.empty((len(texts), len(self.label_names)))
        intensities = np.empty((len(texts), len(self.model.config.intensity_targets), len(self.label_names)))
        # Without texts the tokenizer would fail.
        encoded = self.tokenizer(texts or [""], truncation=True, return_token_type_ids=False)
        if truncated := sum(bool(encoding.overflowing) for encoding in encoded.encodings):
            longer = f"{truncated} of {len(texts)} texts are longer than {self.tokenizer.model_max_length} tokens"
            logger.warning(f"{longer}: the model has not read their ends")
        with torch.inference_mode():
            batches = longest_first(encoded, self.tokenizer, batch_size, self.device, "Predicting") if texts else ()
            for rows, batch in batches:
                output = self.model(**batch)
                logits[rows], intensities[rows] = output.logits.cpu().numpy(), output.intensities.cpu().numpy()
        predicted = logits.argmax(axis=1)
        probabilities = self.calibration.probabilities(classification.probabilities(logits))
        columns = {"text": texts, "emotion": np.asarray(self.label_names)[predicted]}
        columns |= {f"{PROBABILITY}{name}": probabilities[:, i] for i, name in enumerate(self.label_names)}
        intensities = self.calibration.intensities(intensities)
        names = [INTENSITIES[target] for target in self.model.config.intensity_targets]
        at_predicted, end = readings.select_by_label(intensities, predicted), READINGS["expected"]
        expected = readings.expected(intensities, probabilities)
        columns |= {name: at_predicted[:, i] for i, name in enumerate(names)}
        columns |= {f"{name}{end}": expected[:, i] for i, name in enumerate(names)}
        return pd.DataFrame(columns)
