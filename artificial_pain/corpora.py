"""Where a corpus comes from, and how its file becomes one frame.

A frame has a row an example: `text`, `label_name`, and for ESConv `turns` (the seeker's, a list of str),
`initial_intensity`, `final_intensity`, `intensity_change` (float, NaN where unknown), `problem_type` and
`experience_type`. Its index is the example's position in the corpus file, from 0.
"""

import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
import pooch
import python_calamine
import requests

from artificial_pain.errors import UserError, warn

INTENSITIES = ("initial_intensity", "final_intensity", "intensity_change")
SAMPLE_FOLDER = Path(__file__).resolve().parent / "sample"


@dataclass(frozen=True)
class Published:
    """A published file: the commit is in the URL, the digest is what its bytes must have."""

    url: str
    algorithm: str  # "sha256", or "git-blob": git's SHA-1 over a header and the content
    digest: str


PUBLISHED = {
    "ESConv": Published(
        "https://raw.githubusercontent.com/thu-coai/Emotional-Support-Conversation/"
        "f262d062ad74cb39b17ea476facc81568ddcba24/ESConv.json",
        "git-blob",
        "2f7a69eeda505053eac68f9ab26fd728d0f6db31",
    ),
    "SAD": Published(
        "https://raw.githubusercontent.com/PervasiveWellbeingTech/Stress-Annotated-Dataset-SAD/"
        "1d6aa672c4eeb82e0bbc6533b75e0694da80ae20/SAD_v1.zip",
        "sha256",
        "74595bc41dc3a91de0563f43bf8e945498bfddf53138167b21eb5355444be2fe",
    ),
}
SAMPLE = {"ESConv": SAMPLE_FOLDER / "ESConv.json", "SAD": SAMPLE_FOLDER / "SAD_v1.zip"}


def locate(dataset_name: str, data_source: str | None) -> Path:
    """The corpus file on disk: the published one (None), the bundled "sample", a URL's, or a local file.

    Raises UserError where it cannot be had, or is not what was published.
    """
    if data_source is None:
        return download(PUBLISHED[dataset_name], cache_folder())
    if data_source == "sample":
        return SAMPLE[dataset_name]
    if data_source.startswith(("http://", "https://")):
        return download(Published(data_source, algorithm="", digest=""), cache_folder())
    path = Path(data_source)
    if not path.is_file():
        raise UserError(f"--data_source {data_source}: no such file")
    return path


def cache_folder() -> Path:
    """Where downloads are kept (below XDG_CACHE_HOME, where that is set)."""
    return Path(pooch.os_cache("artificial-pain"))


def download(published: Published, folder: Path) -> Path:
    """The file in the cache folder, downloaded if it is not there; a file that does not verify is not kept.

    Without a digest nothing says whether a cached copy still is the file: it is downloaded anew every time.
    """

    def fetch_verified(url: str, output_file: str, pooch_object: object) -> None:
        pooch.HTTPDownloader(progressbar=True)(url, output_file, pooch_object)
        verify(Path(output_file), published)

    name = pooch.utils.unique_file_name(published.url)
    if not published.digest:
        (folder / name).unlink(missing_ok=True)
    pooch.get_logger().setLevel("WARNING")
    try:
        path = Path(pooch.retrieve(published.url, None, fname=name, path=folder, downloader=fetch_verified))
        verify(path, published)  # a cached copy may have been damaged since
    except requests.RequestException as error:
        raise UserError(
            f"{published.url}: cannot be downloaded ({type(error).__name__}: {error}): "
            "check the network, or give a copy with --data_source FILE"
        ) from None
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}): set XDG_CACHE_HOME to another folder"
        ) from None
    return path


def digest_of(content: bytes, algorithm: str) -> str:
    """The hexadecimal digest; "git-blob" is git's object id, SHA-1 over `blob <size>\\0` and the content."""
    if algorithm == "git-blob":
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.new(algorithm, content).hexdigest()


def verify(path: Path, published: Published) -> None:
    """Remove the file and raise UserError if its digest is not the published one."""
    if not published.digest:
        return
    found = digest_of(path.read_bytes(), published.algorithm)
    if found != published.digest:
        path.unlink()
        raise UserError(
            f"{published.url}: the download is not the published file ({published.algorithm} {found}, "
            f"expected {published.digest}) and was removed: try again, or give a copy with --data_source FILE"
        )


def read(dataset_name: str, path: Path, label_column: str | None = None) -> pd.DataFrame:
    """Read a corpus file into a frame (see above). Raises UserError that names the file and the place in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not content.strip():
        raise UserError(f"{path}: the file is empty")
    return read_esconv(content, path) if dataset_name == "ESConv" else read_sad(content, path, label_column)


def read_esconv(content: bytes, path: Path) -> pd.DataFrame:
    """ESConv (Liu et al., ACL 2021): a JSON list of dialogues; an example is all that the seeker says in one."""
    try:
        dialogues = json.loads(content)
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not JSON: expected UTF-8 text, as in ESConv.json") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    if not isinstance(dialogues, list) or not dialogues:
        raise UserError(f"{path}: expected a JSON list of dialogues, found {_kind(dialogues)}")

    set_aside: list[str] = []
    rows = [_dialogue_row(dialogue, f"{path}: dialogue {i}", set_aside) for i, dialogue in enumerate(dialogues)]
    if set_aside:
        shown = "; ".join(set_aside[:3]) + (" …" if len(set_aside) > 3 else "")
        warn(f"{path}: intensities that are not 1 to 5 count as missing, {len(set_aside)} in all: {shown}")
    frame = pd.DataFrame(rows).rename_axis("dialogue_idx")
    frame["intensity_change"] = frame["final_intensity"] - frame["initial_intensity"]
    frame.attrs["intensities_set_aside"] = len(set_aside)
    return frame


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an empty list" if not value else "a list", str: "a string", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _dialogue_row(dialogue: object, where: str, set_aside: list[str]) -> dict:
    """One dialogue as a row; intensities that cannot be are noted in `set_aside` and left missing."""
    if not isinstance(dialogue, dict):
        raise UserError(f"{where}: expected an object with emotion_type and dialog, found {_kind(dialogue)}")
    emotion = dialogue.get("emotion_type")
    if not isinstance(emotion, str) or not emotion.strip():
        raise UserError(f"{where}: expected a text in emotion_type, found {emotion!r}")
    turns = _seeker_turns(dialogue.get("dialog"), where)
    survey = dialogue.get("survey_score") or {}
    seeker = survey.get("seeker") if isinstance(survey, dict) else None
    seeker = seeker if isinstance(seeker, dict) else {}
    place = where.rsplit(": ", 1)[1]
    return {
        "text": " ".join(turns),
        "label_name": emotion.strip(),
        "turns": turns,
        "initial_intensity": _intensity(seeker.get("initial_emotion_intensity"), f"{place} initial", set_aside),
        "final_intensity": _intensity(seeker.get("final_emotion_intensity"), f"{place} final", set_aside),
        "problem_type": str(dialogue.get("problem_type", "")),
        "experience_type": str(dialogue.get("experience_type", "")),
    }


def _seeker_turns(dialog: object, where: str) -> list[str]:
    if not isinstance(dialog, list):
        raise UserError(f"{where}: expected a list of turns in dialog, found {_kind(dialog)}")
    for number, turn in enumerate(dialog):
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            raise UserError(f"{where}, turn {number}: expected an object with speaker and content")
    turns = [_clean(turn["content"]) for turn in dialog if turn.get("speaker") == "seeker"]
    turns = [turn for turn in turns if turn]
    if not turns:
        speakers = ", ".join(sorted({repr(turn.get("speaker")) for turn in dialog})) or "none"
        raise UserError(f"{where}: has no text by the speaker 'seeker' (speakers in it: {speakers})")
    return turns


def _clean(text: str) -> str:
    """Stripped; a lone surrogate, which JSON can carry and no file can, becomes U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text).strip()


def _intensity(value: object, where: str, set_aside: list[str]) -> float:
    """An annotated intensity (1 to 5), NaN where there is none."""
    if value is None:
        return float("nan")
    if str(value).strip() in {"1", "2", "3", "4", "5"}:
        return float(value)
    set_aside.append(f"{where} {value!r}")
    return float("nan")


def read_sad(content: bytes, path: Path, label_column: str) -> pd.DataFrame:
    """SAD (Mauriello et al., CHI 2021): sheet 1 of an Excel file, alone or in a zip; an example is a sentence."""
    try:
        sheet = pd.read_excel(io.BytesIO(_excel_content(content, path)), engine="calamine", na_filter=False)
    except (python_calamine.CalamineError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an Excel file ({error})") from None
    for column in ("sentence", label_column):
        if column not in sheet.columns:
            found = ", ".join(map(str, sheet.columns)) or "none"
            raise UserError(f"{path}: the sheet has no column {column!r} (columns in it: {found})")
    if sheet.empty:
        raise UserError(f"{path}: the sheet has no rows")
    frame = pd.DataFrame(
        {
            "text": sheet["sentence"].map(lambda cell: _clean(str(cell))),
            "label_name": sheet[label_column].map(str).str.strip(),
        }
    ).rename_axis("sentence_idx")
    for column, name in (("text", "sentence"), ("label_name", label_column)):
        empty = frame.index[frame[column] == ""]
        if len(empty):
            # Row 1 of the sheet is its header.
            raise UserError(f"{path}: row {empty[0] + 2} of the sheet has no text in column {name!r}")
    return frame


def _excel_content(content: bytes, path: Path) -> bytes:
    """The bytes of the Excel file: the file itself, or the one .xlsx member of a zip, read in memory."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise UserError(f"{path}: is neither a zip nor an .xlsx file") from None
    names = archive.namelist()
    if "xl/workbook.xml" in names:  # an .xlsx is a zip of its own
        return content
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise UserError(f"{path}: refused, its member {name!r} would climb out of a folder")
    sheets = [name for name in names if name.endswith(".xlsx") and not name.startswith("__MACOSX/")]
    if len(sheets) != 1:
        raise UserError(f"{path}: expected one .xlsx file in the zip, found {', '.join(sheets or names) or 'nothing'}")
    try:
        return archive.read(sheets[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: its member {sheets[0]!r} cannot be read ({error})") from None
