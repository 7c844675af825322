"""Reading and downloading: the frame of a good file, the message about a bad one."""

import io
import json
import math
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
from conftest import DATALOADER, MINILM, SAMPLE

from artificial_pain.data import esconv, files, sad, sources, vocabulary
from artificial_pain.errors import UserError
from artificial_pain.storage import checksum_like

ENCODER = ["--model_name", MINILM]


def dialogue(**changes: object) -> dict:
    """A dialogue as in ESConv.json."""
    turns = [("seeker", "Hello\n"), ("supporter", "Hi!\n"), ("seeker", " I cannot sleep. "), ("seeker", "  ")]
    return {
        "emotion_type": "anxiety",
        "problem_type": "job crisis",
        "survey_score": {"seeker": {"initial_emotion_intensity": "5", "final_emotion_intensity": "2"}},
        "dialog": [{"speaker": speaker, "content": content} for speaker, content in turns],
    } | changes


def read(dialogues: object) -> pd.DataFrame:
    return esconv.read_esconv(json.dumps(dialogues).encode(), "ESConv.json")


def test_a_dialogue_becomes_an_example():
    frame = read([dialogue()])
    assert frame.index.name == "dialogue_idx"
    row = frame.loc[0]
    assert row["text"] == "Hello I cannot sleep."
    assert row["turns"] == ["Hello", "I cannot sleep."]
    assert row["label_name"] == "anxiety" and row["problem_type"] == "job crisis"
    assert [row[name] for name in vocabulary.INTENSITIES] == [5, 2, -3]


@pytest.mark.parametrize("survey", [{}, None, {"seeker": {}}, {"seeker": {"initial_emotion_intensity": "5"}}])
def test_a_missing_intensity_is_missing_and_no_error(survey, capsys):
    row = read([dialogue(survey_score=survey)]).loc[0]
    assert math.isnan(row["final_intensity"]) and math.isnan(row["intensity_change"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["abc", "", "9", 0, "4.5", [3], True])
def test_an_invalid_intensity_is_missing_and_reported(value, capsys):
    survey = {"seeker": {"initial_emotion_intensity": value, "final_emotion_intensity": 2}}
    frame = read([dialogue(), dialogue(survey_score=survey)])
    assert math.isnan(frame.loc[1, "initial_intensity"]) and frame.loc[1, "final_intensity"] == 2
    assert frame.attrs["invalid_intensities"] == 1
    message = f"intensities that are not 1 to 5 count as missing, 1 in all: dialogue 1 initial {value!r}"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("value", [3, 3.0, "3", "3.0", " 3 "])
def test_an_intensity_may_be_a_number_or_a_text(value, capsys):
    assert read([dialogue(survey_score={"seeker": {"final_emotion_intensity": value}})]).loc[0, "final_intensity"] == 3
    assert capsys.readouterr().err == ""


def test_lone_surrogates_do_not_reach_the_files():
    row = read([dialogue(emotion_type="a\ud83d", problem_type="b\ud83d")]).loc[0]
    assert row["label_name"] == "a\ufffd" and row["problem_type"] == "b\ufffd"
    assert read([dialogue(problem_type=None)]).loc[0, "problem_type"] == ""
    assert (
        read([dialogue(dialog=[{"speaker": "seeker", "content": "sad \ud83d day"}])]).loc[0, "text"] == "sad \ufffd day"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_json_in_another_unicode_encoding_is_read(encoding):
    content = json.dumps([dialogue(problem_type="é")], ensure_ascii=False).encode(encoding)
    assert esconv.read_esconv(content, "ESConv.json").loc[0, "problem_type"] == "é"


@pytest.mark.parametrize("value", [3, [["a"]], {"a": "b"}, False])
def test_a_problem_type_that_is_no_text_is_missing(value):
    row = read([dialogue(problem_type=value, experience_type=value)]).loc[0]
    assert row["problem_type"] == row["experience_type"] == ""


@pytest.mark.parametrize("unseen", ["\0", "\u200b\u200d", "\ufeff", "\x1b\x01", "\u202e\u2028 "])
def test_a_turn_in_which_there_is_nothing_to_see_is_none(unseen):
    turns = [{"speaker": "seeker", "content": content} for content in (unseen, "I am sad", unseen)]
    assert read([dialogue(dialog=turns)]).loc[0, "turns"] == ["I am sad"]
    with pytest.raises(UserError, match="has no text by the speaker"):
        read([dialogue(dialog=turns[:1])])
    with pytest.raises(UserError, match="expected a text in emotion_type"):
        read([dialogue(emotion_type=unseen)])


def test_a_label_is_put_on_one_line():
    assert read([dialogue(emotion_type="very\n sad")]).loc[0, "label_name"] == "very sad"


@pytest.mark.parametrize("value", [["x" * 10**6], 10**4000, json.loads("[" * 900 + "]" * 900)])
def test_a_value_of_any_size_is_quoted_in_a_short_line(value):
    with pytest.raises(UserError) as refused:
        read([dialogue(emotion_type=value)])
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("key", ["content", "text"])
def test_speakers_and_words_may_have_the_names_of_the_hub(key):
    turns = [{"speaker": "usr", key: "a"}, {"speaker": "sys", key: "b"}]
    assert read([dialogue(dialog=turns)]).loc[0, "turns"] == ["a"]


ESCONV_FAULTS = {
    "empty": (b"", "the file is empty"),
    "not JSON": (
        b'[{"emotion_type": ',
        "cannot be read as JSON in UTF-8 (Expecting value: line 1 column 19",
    ),
    "not text": (b"\xff\xfe\x00\x80", "expected dialogues as JSON, found '\u8000': --dataset_name SAD reads a table"),
    "an object": (b"{}", "dialogue 0: expected a text in emotion_type, found None"),
    "an empty list": (b"[]", "found an empty list"),
    "a list of texts": (b'["a"]', "dialogue 0: expected an object with emotion_type and dialog, found 'a'"),
    "no emotion": (
        [dialogue(), dialogue(emotion_type=None)],
        "dialogue 1: expected a text in emotion_type, found None",
    ),
    "blank emotion": ([dialogue(emotion_type=" ")], "dialogue 0: expected a text in emotion_type"),
    "no dialog": ([dialogue(dialog=None)], "dialogue 0: expected a list of turns in dialog, found None"),
    "a turn of another shape": (
        [dialogue(dialog=["hello"])],
        "dialogue 0, turn 0: expected an object with speaker and",
    ),
    "no seeker turns": ([dialogue(dialog=[])], "has no text by the speaker 'seeker' or 'usr' (speakers in it: none)"),
    "other speakers": (
        [dialogue(dialog=[{"speaker": "bot", "content": "a"}, {"speaker": "sys", "content": "b"}])],
        "dialogue 0: has no text by the speaker 'seeker' or 'usr' (speakers in it: 'bot', 'sys')",
    ),
    "a number without end": (b'[{"emotion_type": ' + b"1" * 5000 + b"}]", "as JSON in UTF-8 (Exceeds the limit"),
    "nested without end": (
        b"[" * 200_000,
        "cannot be read as JSON in UTF-8 (maximum recursion depth",
    ),
    "too few of a label": ([dialogue()] * 20 + [dialogue(emotion_type="fear")] * 14, "found ['anxiety']"),
}


@pytest.mark.parametrize("fault", ESCONV_FAULTS)
def test_bad_esconv_files_are_refused_in_one_line(fault, script, tmp_path):
    content, message = ESCONV_FAULTS[fault]
    path = tmp_path / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    root = tmp_path / "out"
    done = script(DATALOADER, *ENCODER, "--data_source", path, "--output_dir", root)
    assert done.code == 1
    assert str(path) in done.error and message in done.error
    assert list(root.iterdir()) == [], "nothing half-written"


def excel(columns: dict[str, list]) -> bytes:
    file = io.BytesIO()
    pd.DataFrame(columns).to_excel(file, index=False)
    return file.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


GOOD_SHEET = {"sentence": ["a b", "c"], "original_label": ["Work", "NA"], "top_label": ["Work", "School"]}


@pytest.mark.parametrize("member", [None, "SAD_v1.xlsx", "folder/SAD.xlsx"])
@pytest.mark.parametrize("label_column", ["original_label", "top_label"])
def test_a_sentence_becomes_an_example(member, label_column):
    content = excel(GOOD_SHEET) if member is None else zipped({member: excel(GOOD_SHEET), "Schema.txt": b"x"})
    frame = sad.read_sad(content, "SAD", label_column)
    assert frame.index.name == "sentence_idx"
    assert frame["text"].tolist() == ["a b", "c"]
    assert frame["label_name"].tolist() == GOOD_SHEET[label_column], "NA is a label like any other"


def test_a_column_of_texts_may_have_the_name_that_most_tables_have():
    sheet = excel({"text": ["a"], "original_label": ["b"]})
    assert sad.read_sad(sheet, "SAD", "original_label")["text"].tolist() == ["a"]


def test_numbers_in_the_sheet_stay_as_they_are_written():
    sheet = excel({"sentence": ["000", "12"], "original_label": ["01", "1"]})
    frame = sad.read_sad(sheet, "SAD", "original_label")
    assert frame["text"].tolist() == ["000", "12"] and frame["label_name"].tolist() == ["01", "1"]


def damaged_zip() -> bytes:
    """A member whose deflated bytes were changed on the way."""
    content = bytearray(zipped({"SAD_v1.xlsx": excel(GOOD_SHEET)}))
    content[60:110] = bytes(byte ^ 0x5A for byte in content[60:110])
    return bytes(content)


SAD_FAULTS = {
    "empty": (b"", "the file is empty"),
    "not a zip": (b"hello", "has no column 'sentence' or 'text' (columns in it: ['hello']): --text_column names it"),
    "no sheet in the zip": (
        zipped({"Schema.txt": b"x"}),
        "its member 'Schema.txt': has no column 'sentence' or 'text' (columns in it: ['x'])",
    ),
    "an empty zip": (zipped({}), "has no file in it"),
    "a damaged zip": (damaged_zip(), "its member 'SAD_v1.xlsx' cannot be read"),
    "empty sheets in the zip": (zipped({"a.xlsx": b"", "b.xlsx": b""}), "its member 'b.xlsx': the file is empty"),
    "two sheets in the zip": (
        zipped({"a.xlsx": excel(GOOD_SHEET), "b.xlsx": excel(GOOD_SHEET)}),
        "has several tables with these columns (its member 'a.xlsx', its member 'b.xlsx')",
    ),
    "not a sheet": (
        zipped({"SAD_v1.xlsx": b"hello"}),
        "its member 'SAD_v1.xlsx': has no column 'sentence' or 'text' (columns in it: ['hello'])",
    ),
    "no sentence column": (
        excel({"words": ["a"], "original_label": ["b"]}),
        "no column 'sentence' or 'text' (columns in it: ['words',",
    ),
    "no label column": (excel({"sentence": ["a"]}), "no column 'original_label'"),
    "a column in two lines": (excel({"a\nb": ["a"]}), r"(columns in it: ['a\nb'])"),
    "another kind of packing": (zipped({"a.xlsx": b"a"}, zipfile.ZIP_BZIP2), "neither stored nor deflated"),
    "a zip in the zip": (
        zipped({"a.xlsx": zipped({"b.xlsx": b"a"})}),
        "'a.xlsx': is packed once more: unpack it",
    ),
    "no rows": (excel({"sentence": [], "original_label": []}), "the table has no rows"),
    "an empty sentence": (
        excel({"sentence": ["a", " "], "original_label": ["b", "b"]}),
        "row 3 of the table has no text in column 'sentence'",
    ),
    "an empty label": (
        excel({"sentence": ["a"], "original_label": [None]}),
        "row 2 of the table has no text in column 'o",
    ),
    "too few of a label": (
        excel({"sentence": ["a"] * 23, "original_label": ["b"] * 14 + ["c"] * 9}),
        "'c' has 9 examples",
    ),
}


@pytest.mark.parametrize("fault", SAD_FAULTS)
def test_bad_sad_files_are_refused_in_one_line(fault, script, tmp_path):
    content, message = SAD_FAULTS[fault]
    path = tmp_path / "bad.zip"
    path.write_bytes(content)
    root = tmp_path / "out"
    done = script(DATALOADER, *ENCODER, "--dataset_name", "SAD", "--data_source", path, "--output_dir", root)
    assert done.code == 1
    assert str(path) in done.error and message in done.error
    assert list(root.iterdir()) == [], "nothing half-written"
    assert [file.name for file in tmp_path.iterdir() if file not in (path, root)] == []


def refusal(content: bytes) -> str:
    """The one-line message about a corpus that is refused at once: in 2 s and 50 MB, calamine's memory too."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before, start = resident_memory("VmRSS"), time.perf_counter()
    with pytest.raises(UserError) as refused:
        sad.read_sad(content, "SAD.zip", "original_label")
    assert time.perf_counter() - start < 2
    assert resident_memory("VmHWM") - before < 50 * 2**20
    assert str(refused.value).startswith("SAD.zip: ") and len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def resident_memory(which: str) -> int:
    """Of this process in bytes: VmRSS, now, or VmHWM, at its peak."""
    return 1024 * int(re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


PATHS = pytest.mark.fault(
    "zip with ../ in the path of a member", "one line and exit code 1. Nothing is written by a member's path"
)


@PATHS
@pytest.mark.parametrize(
    "name", ["../S.xlsx", "a/../../S.xlsx", "/S.xlsx", "..\\S.xlsx", "C:\\S.xlsx", "\\\\host\\S.xlsx"]
)
def test_a_member_path_that_climbs_is_refused(name):
    """a zip whose member is to be written outside of the folder"""
    assert "would climb out of a folder" in refusal(zipped({name: excel(GOOD_SHEET)}))


SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """An .xlsx whose sheet is two gigabytes of zeros."""
    file = io.BytesIO(excel(GOOD_SHEET))
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != SHEET}
    file = io.BytesIO(zipped(parts))
    archive = zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open(SHEET, "w") as member:
        for _ in range(2000):
            member.write(bytes(2**20))
    assert len(file.getvalue()) < 20 * 2**20
    return file.getvalue()


def declaring(content: bytes, name: str, size: int) -> bytes:
    """The zip with another size of a member in its directory (of its last mention in the file)."""
    header = content.rindex(b"PK\x01\x02", 0, content.rindex(name.encode()))
    return content[: header + 24] + size.to_bytes(4, "little") + content[header + 28 :]


BOMB = pytest.mark.fault("zip bomb", "one line and exit code 1, in 2 s and 50 MB. No byte over 1 GiB is unpacked")


@BOMB
@pytest.mark.parametrize("wrap", ["alone", "in a zip", "deflated in a zip"])
def test_a_bomb_is_refused_before_it_is_unpacked(wrap, bomb):
    """an .xlsx whose sheet unpacks to 2 GB, alone, in a zip, or lying about its size; zips of 1.1 GB in all"""
    if wrap != "alone":
        method = zipfile.ZIP_STORED if wrap == "in a zip" else zipfile.ZIP_DEFLATED
        bomb = zipped({"SAD_v1.xlsx": bomb}, method)
    assert "unpacked it has 2,097," in refusal(bomb) and "expected 1,073,741,824 at most" in refusal(bomb)


@BOMB
@pytest.mark.parametrize("size", [0, 10, 2**20])
def test_a_bomb_that_lies_about_its_size_is_not_unpacked(size, bomb):
    """an .xlsx whose sheet unpacks to 2 GB, alone, in a zip, or lying about its size; zips of 1.1 GB in all"""
    lying = declaring(bomb, SHEET, size)
    for content in (lying, zipped({"SAD_v1.xlsx": lying})):
        told = "File is larger than its declared uncompressed size" if size > 4096 else "Bad CRC-32"
        assert told in refusal(content)


@BOMB
@pytest.mark.parametrize("size", [0, 10, 2**20])
def test_a_bomb_of_a_zip_that_lies_about_its_size_is_not_unpacked(size):
    """an .xlsx whose sheet unpacks to 2 GB, alone, in a zip, or lying about its size; zips of 1.1 GB in all"""
    zeros = zipped({"SAD_v1.xlsx": bytes(200 * 2**20)})
    message = refusal(declaring(zeros, "SAD_v1.xlsx", size))
    assert ("Bad CRC-32" if size else "its member 'SAD_v1.xlsx': the file is empty") in message


@BOMB
def test_members_that_are_a_bomb_together_are_refused():
    """an .xlsx whose sheet unpacks to 2 GB, alone, in a zip, or lying about its size; zips of 1.1 GB in all"""
    many = zipped({"SAD_v1.xlsx": excel(GOOD_SHEET), **{f"{i}.txt": bytes(10**6) for i in range(2)}})
    for i in range(2):
        many = declaring(many, f"{i}.txt", 600_000_000)
    assert "refused, unpacked it has 1,2" in refusal(many)


FAR = pytest.mark.fault(
    "sheet with a cell far outside the data", "one line and exit code 1. The empty cells between are not made"
)


@FAR
@pytest.mark.parametrize("end", ["XFD1048576", "AAA1", "XFD7"])
def test_a_sheet_that_declares_a_far_cell_is_refused(end):
    """a sheet that ends in the last row and column, where all cells between would be 400 GB"""
    file = io.BytesIO(excel(GOOD_SHEET))
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[SHEET] = re.sub(rb'(<dimension ref="A1:)[A-Z]+\d+', rb"\g<1>" + end.encode(), parts[SHEET])
    assert end.encode() in parts[SHEET]
    assert "reaches beyond column ZZ" in refusal(zipped(parts))


def test_a_file_larger_than_the_largest_is_refused_unread(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(files.MAX_BYTES + 1)  # sparse: it takes no space
    with pytest.raises(UserError, match=r"huge.json: refused, it has 1,073,741,825 bytes"):
        sources.locate("ESConv", str(path))


WRONG_FLAGS = {
    "no samples": (["--balanced", "--samples_per_label", "0"], "'0' is not a whole number from 1 to 1,000,000"),
    "too many samples": (["--balanced", "--samples_per_label", "9" * 15], "is not a whole number from 1 to 1,000,000"),
    "no source": (["--data_source", ""], "expected a name, found nothing"),
    "no number": (["--max_length", "many"], "'many' is not a whole number"),
    "too long for the encoder": (["--max_length", "513"], "takes 3 to 512 tokens"),
    "no room for a word": (["--max_length", "2"], "takes 3 to 512 tokens"),
    "a label column of ESConv": (["--label_column", "top_label"], "--label_column is for --dataset_name SAD alone"),
    "no revision": (["--revision", ""], "expected a name"),
    "a negative seed": (["--seed", "-1"], "'-1' is not a whole number from 0"),
    "another corpus": (["--dataset_name", "EmpatheticDialogues"], "invalid choice"),
    "another label column": (
        ["--dataset_name", "SAD", "--label_column", "second_label"],
        "SAD has original_label, top_label",
    ),
    "a column of texts of SAD": (["--dataset_name", "SAD", "--text_column", "text"], "is for a table of your own"),
    "a column of texts of ESConv": (["--text_column", "text"], "--text_column is for --dataset_name SAD alone"),
    "another encoder": (
        ["--model_name", "./bert-base-cased"],
        "'./bert-base-cased' is neither a folder with an encoder's config.json nor a name on the hub",
    ),
}


@pytest.mark.parametrize("fault", WRONG_FLAGS)
def test_wrong_flags_exit_2(fault, script, tmp_path):
    words, message = WRONG_FLAGS[fault]
    done = script(DATALOADER, *ENCODER, *SAMPLE, "--output_dir", tmp_path, *words)
    assert done.code == 2 and message in done.error


def test_a_missing_source_and_an_unwritable_folder_are_refused(script, tmp_path):
    done = script(DATALOADER, *ENCODER, "--data_source", tmp_path / "none.json", "--output_dir", tmp_path)
    assert done.code == 1 and "none.json: cannot be read (No such file" in done.error
    for source, message in [
        (tmp_path, "is not a file"),
        ("x" * 5000, "cannot be read"),
        ("http://[::1", "cannot be down"),
    ]:
        done = script(DATALOADER, *ENCODER, "--data_source", source, "--output_dir", tmp_path)
        assert done.code == 1 and message in done.error
    done = script(DATALOADER, *ENCODER, *SAMPLE, "--output_dir", "")
    assert done.code == 2
    (tmp_path / "file").write_text("in the way")
    done = script(DATALOADER, *ENCODER, *SAMPLE, "--output_dir", tmp_path / "file" / "out")
    assert done.code == 1 and "cannot be written" in done.error and "--output_dir" in done.error


class Server:
    """Serves some bytes on loopback and counts the requests."""

    def __init__(self):
        self.content, self.status, self.requests = b"some bytes", 200, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/corpus.bin"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(params=[40, 64], ids=["git-blob", "sha256"])
def published(request, server, tmp_path) -> tuple[str, str]:
    (tmp_path / "content").write_bytes(server.content)
    return server.url, checksum_like(tmp_path / "content", "0" * request.param)


def test_a_download_is_verified_and_kept(published, server, tmp_path):
    first = sources.download(*published, tmp_path / "cache")
    assert first.read_bytes() == b"some bytes"
    assert sources.download(*published, tmp_path / "cache") == first
    assert server.requests == 1, "downloaded once"


def test_a_damaged_cached_copy_is_downloaded_anew(published, server, quick_waits, tmp_path):
    cached = sources.download(*published, tmp_path / "cache")
    cached.write_bytes(b"damaged")
    assert sources.download(*published, tmp_path / "cache").read_bytes() == b"some bytes"
    server.content = b"other bytes"
    cached.write_bytes(b"damaged")
    with pytest.raises(UserError, match=f"not the published file: its digest is .*, not {published[1]}"):
        sources.download(*published, tmp_path / "cache")
    assert not cached.exists()


def test_a_download_that_fails_ends_in_one_line(server, quick_waits, tmp_path):
    server.status = 503
    with pytest.raises(UserError, match=r"503.*--data_source FILE"):
        sources.download(server.url, "0" * 64, tmp_path)
    with pytest.raises(UserError, match="cannot be downloaded"):
        sources.download("http://127.0.0.1:9/x", "0" * 64, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_git_blob_id_is_gits(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"line\r\n\0 bytes")
    git = subprocess.run(["git", "hash-object", "--no-filters", path], capture_output=True, text=True, check=True)
    assert checksum_like(path, "0" * 40) == git.stdout.strip()


def test_the_real_sad_is_the_published_one(corpora):
    _, digest = sources.PUBLISHED["SAD"]
    assert checksum_like(corpora / "SAD_v1.zip", digest) == digest


def test_a_url_as_source_is_downloaded_and_read(server, script, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server.content = sources.SAMPLE["SAD"].read_bytes()
    words = ["--dataset_name", "SAD", "--data_source", server.url, "--output_dir", tmp_path / "out"]
    done = script(DATALOADER, *ENCODER, *words)
    assert done.code == 0, done.err
    assert "all " in done.out
    assert (tmp_path / "out/corpus.bin/dataset_splits/train_split.csv").is_file()
