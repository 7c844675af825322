"""Which words of a text have moved a prediction: integrated gradients (Sundararajan et al., ICML 2017)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jinja2 import Environment
from tqdm import tqdm

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.runs.prediction_io import EXPLAINED
from artificial_pain.runs.predictor import Predictor

STEPS = (32, 128, 512)  # from a text of masks to the text: more where the sums are not right to MAX_GAP
MAX_GAP = 0.01
TEMPLATE = Path(__file__).with_name("explanation_template.html")


def explain(predictor: Predictor, predictions: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    """The predictions with columns of lists: of the words of each text, `explained_words`, and how much each has moved
    the probability of the predicted emotion, `explained_emotion`, and the initial intensity, `explained_initial`.
    """
    rows = []
    for text, emotion in zip(
        tqdm(predictions["text"], "Explaining", disable=None), predictions["emotion"], strict=True
    ):
        label = predictor.label_names.index(emotion)
        for steps in STEPS:
            tokens, of_tokens, differences = integrated_gradients(predictor, text, label, batch_size, steps)
            if max(abs(of_tokens[name].sum() - differences[name]) for name in differences) <= MAX_GAP:
                break
        words, of_words = join_words(text, tokens, of_tokens)
        rows.append({f"{EXPLAINED}{name}": values for name, values in {"words": words, **of_words}.items()})
    return predictions.join(pd.DataFrame(rows, index=predictions.index))


def integrated_gradients(
    predictor: Predictor, text: str, label: int, batch_size: int, steps: int
) -> tuple[list[tuple[int, int]], dict[str, np.ndarray], dict[str, float]]:
    """How much each token has moved the outputs for a label: `emotion`, its calibrated probability, and `initial`.

    Returns the tokens' places in the text; by output the tokens' attributions, (tokens,); and by output the difference
    between the text and one whose tokens are all masks, which the attributions sum up to (completeness).
    """
    tokenizer, model = predictor.tokenizer, predictor.model
    encoded = tokenizer(text, truncation=True, return_offsets_mapping=True, return_special_tokens_mask=True)
    ids = torch.tensor([encoded["input_ids"]], device=predictor.device)
    special = torch.tensor([encoded["special_tokens_mask"]], dtype=torch.bool, device=predictor.device)
    embedding = model.encoder.get_input_embeddings()
    whole = embedding(ids).detach()
    masked = embedding(torch.where(special, ids, tokenizer.mask_token_id)).detach()

    def outputs(shares: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The embeddings at these shares of the way, (n, tokens, hidden), and the outputs there, (n,) each."""
        path = (masked + shares.to(whole)[:, None, None] * (whole - masked)).requires_grad_()
        hook = embedding.register_forward_hook(lambda *_: path)
        try:
            batch = ids.expand(len(path), -1)
            output = model(input_ids=batch, attention_mask=torch.ones_like(batch))
        finally:
            hook.remove()
        named = {"emotion": torch.softmax(output.logits / predictor.calibration.temperature, dim=1)[:, label]}
        if "initial_intensity" in model.config.intensity_targets:  # the first, where there is any
            named["initial"] = output.intensities[:, 0, label] * np.atleast_1d(predictor.calibration.slopes)[0]
        return path, named

    gradients: dict[str, torch.Tensor] = {}
    for shares in ((torch.arange(steps) + 0.5) / steps).split(batch_size):
        path, named = outputs(shares)
        for name, values in named.items():
            (gradient,) = torch.autograd.grad(values.sum(), path, retain_graph=True)
            gradients[name] = gradients.get(name, 0) + gradient.sum(dim=0) / steps
    way, (_, ends) = (whole - masked)[0], outputs(torch.tensor([0.0, 1.0]))
    of_tokens = {name: (gradient * way).sum(dim=1).cpu().numpy() for name, gradient in gradients.items()}
    return encoded["offset_mapping"], of_tokens, {name: (at[1] - at[0]).item() for name, at in ends.items()}


def join_words(
    text: str, tokens: Sequence[tuple[int, int]], of_tokens: dict[str, np.ndarray]
) -> tuple[list[str], dict[str, list[float]]]:
    """The words between the blanks of a text, and by output the sum of each one's tokens."""
    words = list(re.finditer(r"\S+", text))
    starts = [word.start() for word in words]
    # By its last character: a token may begin with the blank before the word. Special tokens have no place, and 0.
    places = np.searchsorted(starts, [max(end - 1, 0) for _, end in tokens], side="right") - 1
    sums = {name: np.bincount(places, values, minlength=len(words)).tolist() for name, values in of_tokens.items()}
    return [word.group() for word in words], sums


def write_html(path: Path, predictions: pd.DataFrame) -> None:
    """A page of explained predictions that loads nothing from elsewhere. Words more orange have moved the output up,
    words more blue and underlined down.
    """
    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    names = [name for name in ("emotion", "initial") if f"{EXPLAINED}{name}" in predictions]
    rows = predictions.to_dict("records")
    page = template.render(rows=rows, names=names, explained=EXPLAINED, intensities=INTENSITIES.values(), zip=zip)
    path.write_text(page, encoding="utf-8")
