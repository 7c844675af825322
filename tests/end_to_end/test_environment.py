"""What a user's environment and places bring along: variables, paths with ~, shared folders, other users' checkouts."""

import errno
import fcntl
import json
import os
import runpy
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import DATALOADER, MODEL, REPOSITORY, SAD_FOLDER, SAD_SAMPLE
from hub import Hub
from wandb_server import KEY

from artificial_pain import cli, distributed, environment, storage
from artificial_pain.errors import UserError
from artificial_pain.runs import record
from artificial_pain.training import checkpoints

NAME = "answerdotai/ModernBERT-base"
UNREACHABLE = "http://127.0.0.1:9"
HARMLESS = (
    "a variable of the environment that cannot matter",
    "the results are those without it, to the last bit, and no line is about it",
)
NETWORK = (
    "a variable for the network where no network is needed",
    "it is not noticed. Where the network is needed and fails, the line names the variable",
)
REFUSED = (
    "a variable that cannot be obeyed",
    "one line names it. W&B is offline then. Of another library, the work goes on without it, or ends there",
)
WANDB = ("W&B switched off in a variable or in its settings files", "nothing goes online")
HOME = ("`~` in a path", "it is the home, in every flag that takes a path. An unknown user is a wrong flag")
SHARED = ("a folder that several users share", "each of them goes on with the files of the others, as the umask says")
NO_LOCKS = (
    "a file system without locks, fsync or prompt removal",
    "the work goes on, and a warning says what is not protected",
)
CHECKOUT = (
    "a checkout of someone else, or git's variables of another repository",
    "`run.json` has the commit of the code that runs, or one warning says that it has none",
)

LAUNCHERS = {
    "WORLD_SIZE": "4",
    "RANK": "1",
    "LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "PMI_SIZE": "2",
    "PMI_RANK": "1",
}
LAUNCHERS |= {"OMPI_COMM_WORLD_RANK": "0", "MV2_COMM_WORLD_SIZE": "2", "SLURM_NTASKS": "4", "SLURM_PROCID": "1"}
LAUNCHERS |= {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_MIXED_PRECISION": "fp16", "ACCELERATE_USE_FSDP": "true"}
LAUNCHERS |= {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4", "ACCELERATE_DYNAMO_BACKEND": "inductor"}
BAD_NETWORK = {"HTTPS_PROXY": "::bad", "HTTP_PROXY": "socks5://x:1", "ALL_PROXY": "ftp://x", "NO_PROXY": "::1"}
BAD_NETWORK |= dict.fromkeys(["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"], "/nowhere")
PYTHONS = {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "7"}
PYTHONS |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
OTHERS = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "TMPDIR": "/nowhere", "CUDA_VISIBLE_DEVICES": "-1"}
OTHERS |= {"TQDM_DISABLE": "1", "GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "HF_HOME": "/proc/nowhere"}


@pytest.mark.fault(*HARMLESS)
def test_results_are_those_of_a_clean_environment(encoder, sample_splits, command, tmp_path):
    """All of them at once: launchers', proxies, certificates, encodings, Python's own, matplotlib's, git's, temporary
    folders; and a matplotlibrc in the folder of the user.
    """
    words = [
        "--model_name",
        encoder,
        *SAD_SAMPLE,
        "--epochs",
        "1",
        "--batch_size",
        "64",
        "--precision",
        "fp32",
    ]
    words += ["--learning_rate", "1e-3"]
    roots = [tmp_path / "clean", tmp_path / "éther"]
    for root in roots:
        shutil.copytree(
            sample_splits / SAD_FOLDER, root / SAD_FOLDER, ignore=shutil.ignore_patterns("*loss-*", "balanced*")
        )
    clean = command(MODEL, *words, "--output_dir", roots[0], WANDB_MODE="disabled")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 30\n")
    variables = LAUNCHERS | BAD_NETWORK | PYTHONS | OTHERS
    variables |= {"WANDB_DISABLED": "true", "WANDB_API_KEY": KEY, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    done = command(MODEL, *words, "--output_dir", roots[1], cold=True, **variables)
    assert (clean.code, done.code) == (0, 0), clean.err + done.err
    assert clean.err == done.err, "no line is about them"
    one, other = (next(root.glob(f"{SAD_FOLDER}/*/loss-classification")) for root in roots)
    for path in one.iterdir():
        if path.name not in ("run.json", "README.md"):
            assert path.read_bytes() == (other / path.name).read_bytes(), path.name
    git = [json.loads((run / "run.json").read_text(encoding="utf-8"))["git"] for run in (one, other)]
    assert git[0] == git[1]


FETCH = """
import sys
sys.path.insert(0, sys.argv[1])
from artificial_pain import cli, encoders, hub
hub.RETRY_DELAYS = ()
cli.run(lambda args: print(encoders.fetch(sys.argv[2], "main", weights=encoders.WEIGHTS).folder), lambda: None)
"""


@pytest.mark.fault(*NETWORK)
def test_network_settings_are_not_in_the_way_of_the_cache(tiny, command, tmp_path):
    """Malformed proxies, SOCKS without its package, missing certificates: offline, and with a cached encoder."""
    program = tmp_path / "fetch.py"
    program.write_text(FETCH)
    home = {"HF_HOME": str(tmp_path / "home")}
    with Hub({NAME: tiny[NAME]}) as hub:
        assert command(program, REPOSITORY, NAME, HF_ENDPOINT=hub.endpoint, **home).code == 0
    for variables in (
        {**BAD_NETWORK, "HF_HUB_OFFLINE": "1"},
        {"HTTPS_PROXY": "::bad"},
        {"HTTPS_PROXY": "socks5://x:1"},
        {"SSL_CERT_FILE": "/nowhere"},
        {"HTTP_PROXY": UNREACHABLE, "HF_ENDPOINT": "http://hub.invalid", "NO_PROXY": ""},
    ):
        done = command(program, REPOSITORY, NAME, **home, **variables)
        assert done.code == 0 and done.err == "", (variables, done.err)


@pytest.mark.fault(*NETWORK)
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HTTPS_PROXY": "::bad"}, ["cannot be reached", "HTTPS_PROXY"]),
        ({"https_proxy": "socks5://x:1"}, ["socksio", "https_proxy"]),
        ({"SSL_CERT_FILE": "/nowhere"}, ["cannot be reached", "SSL_CERT_FILE"]),
        ({"HF_HUB_OFFLINE": "1"}, ["HF_HUB_OFFLINE is set"]),
        ({"TRANSFORMERS_OFFLINE": "1"}, ["TRANSFORMERS_OFFLINE is set"]),
    ],
)
def test_network_settings_are_named_where_the_network_fails(variables, words, command, tmp_path):
    """Malformed proxies, SOCKS without its package, missing certificates: offline, and with a cached encoder."""
    program = tmp_path / "fetch.py"
    program.write_text(FETCH)
    done = command(program, REPOSITORY, NAME, HF_ENDPOINT="https://hub.invalid", HF_HOME=str(tmp_path), **variables)
    assert done.code == 1 and all(word in done.error for word in words), done.err


@pytest.mark.fault(*REFUSED)
def test_numbers_that_are_none_are_named_and_have_no_effect(encoder, command, tmp_path):
    """Timeouts and other numbers of huggingface_hub, datasets, tqdm and W&B that are no number; a mode that is none."""
    variables = dict.fromkeys(environment.NUMBERS, "abc")
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", tmp_path]
    done = command(DATALOADER, *words, cold=True, **variables)
    assert done.code == 0
    lines = [f"warning: {name} is 'abc', which is no number: it has no effect" for name in variables]
    assert done.err.splitlines() == lines


@pytest.mark.fault(*REFUSED)
def test_variable_that_a_library_cannot_convert_is_named(capsys, monkeypatch):
    """Timeouts and other numbers of huggingface_hub, datasets, tqdm and W&B that are no number; a mode that is none."""
    monkeypatch.setenv("TORCH_SETTING", "1O")
    for convert in (int, float):
        with pytest.raises(SystemExit) as end:
            cli.run(lambda args, convert=convert: convert(os.environ["TORCH_SETTING"]), lambda: None)
        told = "error: TORCH_SETTING is '1O', which cannot be read: mend it, or unset it\n"
        assert end.value.code == 1 and capsys.readouterr().err == told
    with pytest.raises(SystemExit):  # of our own bug, where the value is another
        cli.run(lambda args: int("x"), lambda: None)
    assert "Traceback" in capsys.readouterr().err


TRACK = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from artificial_pain.runs.tracking import Tracker
with Tracker({"name": "run", "config": {}}, Path(sys.argv[2])) as tracker:
    tracker.start()
print(json.dumps({**tracker.description, "imported": "wandb" in sys.modules}))
"""


@pytest.fixture
def track(command, tmp_path):
    """Start a W&B run with a key whose server nobody reaches; its description, and what was said."""
    program = tmp_path / "track.py"
    program.write_text(TRACK)

    def run(settings: str = "", **variables: str) -> tuple[dict, str]:
        home = tmp_path / "home"
        (home / ".config/wandb").mkdir(parents=True, exist_ok=True)
        (home / ".config/wandb/settings").write_text(f"[default]\n{settings}")
        online = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": UNREACHABLE, "HOME": str(home), "WANDB_INIT_TIMEOUT": "1"}
        done = command(program, REPOSITORY, tmp_path, **{**online, **variables})
        assert done.code == 0, done.err
        return json.loads(done.out), done.err

    return run


@pytest.mark.fault(*REFUSED)
def test_variables_that_wandb_does_not_take_are_named(track):
    """Timeouts and other numbers of huggingface_hub, datasets, tqdm and W&B that are no number; a mode that is none."""
    variables = {"WANDB_MODE": "foo", "WANDB_INIT_TIMEOUT": "abc", "WANDB_BASE_URL": "nonsense", "WANDB_CONSOLE": "x"}
    described, told = track(**variables)
    assert described["mode"] == "offline"
    assert all(f"warning: {name} is '{value}', which W&B does not take" in told for name, value in variables.items())


@pytest.mark.fault(*WANDB)
@pytest.mark.parametrize("value", ["true", *(pytest.param(word, marks=pytest.mark.full) for word in ("1", "YES"))])
def test_wandb_disabled_is_obeyed(value, track):
    """WANDB_DISABLED, `wandb offline` and `wandb disabled`, with a key."""
    described, told = track(WANDB_DISABLED=value)
    assert described["mode"] == "disabled" and not described["imported"] and told == ""


@pytest.mark.fault(*WANDB)
def test_settings_files_of_wandb_are_obeyed(track, tmp_path):
    """WANDB_DISABLED, `wandb offline` and `wandb disabled`, with a key."""
    described, told = track("mode = offline\nproject = mine\n", WANDB_DIR="~/files")
    assert (described["mode"], described["project"]) == ("offline", "mine") and "cannot be" not in told
    assert described["folders"][0].startswith(str(tmp_path / "home/files/wandb"))
    described, _ = track("project = mine\n", WANDB_MODE="offline", WANDB_PROJECT="other")
    assert described["project"] == "other"


def arguments(module: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The flags as a module or a script parses them."""
    path = Path(module) if module.endswith(".py") else REPOSITORY / "artificial_pain" / f"{module}.py"
    monkeypatch.setattr(sys, "argv", [str(path), *words])
    return vars(runpy.run_path(str(path))["parse_args"]())


@pytest.mark.fault(*HOME)
def test_home_is_expanded_in_every_path(encoder, monkeypatch, tmp_path):
    """Every flag and argument of every command that takes a path, with `~/` and with a user who is not there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "encoder").symlink_to(encoder)
    home, encoder = f"{tmp_path}/", "--model_name=~/encoder"
    commands = {
        str(DATALOADER): [encoder, "--output_dir=~/x", "--data_source=~/x"],
        str(MODEL): [encoder, "--output_dir=~/x"],
        "study": [encoder, "--output_dir=~/x", "--dataset_name=SAD"],
        "predict": ["~/x", "--file=~/x"],
        "report": ["~/x", "--output=~/x.md"],
        "compare": ["~/x"],
        "convert": ["~/encoder", "~/x"],
    }
    for name, words in commands.items():
        values = arguments(name, *words, monkeypatch=monkeypatch).values()
        texts = [str(value) for value in values if value is not None]
        assert not any("~" in text for text in texts), texts
        assert sum(home in text for text in texts) >= len([word for word in words if "~" in word]), texts
        for i, word in enumerate(words):
            if "~/" in word:
                wrong = [*words[:i], word.replace("~/", "~nobody-of-this-name/"), *words[i + 1 :]]
                with pytest.raises(SystemExit) as end:
                    arguments(name, *wrong, monkeypatch=monkeypatch)
                assert end.value.code == 2


@pytest.mark.fault(*HOME)
def test_path_that_is_not_utf8_is_a_wrong_flag(script, encoder, tmp_path):
    """Every flag and argument of every command that takes a path, with `~/` and with a user who is not there."""
    done = script(DATALOADER, "--model_name", encoder, "--output_dir", f"{tmp_path}/\udcff")
    assert done.code == 2 and "cannot be a path here" in done.err


@pytest.mark.fault(*SHARED)
def test_every_file_is_as_the_umask_says(encoder, script, tmp_path):
    """A dataloader and a training with umask 002, and a second user of the group who goes on."""
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", tmp_path / "root"]
    before = os.umask(0o002)
    try:
        checkpoint = tmp_path / "root" / "checkpoint-1"
        checkpoint.mkdir(parents=True)
        (checkpoint / checkpoints.STATE).write_text("{}")
        (checkpoint / "model.safetensors").touch(mode=0o600)
        checkpoints.write_manifest(checkpoint)
        assert script(DATALOADER, *words).code == 0
        done = script(MODEL, *words, "--epochs", "1", "--batch_size", "64")
        assert done.code == 0, done.err
    finally:
        os.umask(before)
    paths = [path for path in tmp_path.joinpath("root").rglob("*") if "wandb" not in path.parts]
    assert len(paths) > 30 and all(path.stat().st_mode & stat.S_IWGRP for path in paths)


@pytest.mark.fault(*SHARED)
@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_second_user_goes_on(encoder, clean_environment):
    """A dataloader and a training with umask 002, and a second user of the group who goes on."""
    folder = Path(tempfile.mkdtemp())  # below which the second user may read, unlike pytest's
    try:
        folder.chmod(0o755)
        shutil.copytree(encoder, folder / encoder.name)
        for path in (folder / encoder.name).iterdir():
            path.chmod(0o644)
        (folder / "root").mkdir()
        os.chown(folder / "root", -1, 2000)
        (folder / "root").chmod(0o2775)
        words = ["--model_name", folder / encoder.name, *SAD_SAMPLE, "--output_dir", folder / "root"]
        for user in ([], ["setpriv", "--reuid=1001", "--regid=1001", "--groups=2000"]):
            home = folder / f"home{len(user)}"
            home.mkdir(mode=0o777)
            home.chmod(0o777)
            for script, flags in ((DATALOADER, []), (MODEL, ["--epochs", "1", "--restart"])):
                done = subprocess.run(
                    [*user, sys.executable, script, *words, *flags],
                    env={**clean_environment, "HOME": str(home), "WANDB_MODE": "disabled"},
                    umask=0o002,
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, done.stderr
            (run,) = folder.glob(f"root/{SAD_FOLDER}/*/loss-classification/run.json")
            assert json.loads(run.read_text())["git"] == record.git_state()
    finally:
        shutil.rmtree(folder)


def failing(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.fault(*NO_LOCKS)
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_missing_locks_are_a_warning(number, monkeypatch, capsys, tmp_path):
    """flock that is not implemented, fsync of a folder that is refused, files that are held while they are removed."""
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with storage.exclusive_lock(tmp_path / "folder", wait=False):
        pass
    told = capsys.readouterr().err
    assert told == f"warning: {tmp_path}/folder: its file system has no locks: let no two commands work there at once\n"


@pytest.mark.fault(*NO_LOCKS)
def test_fsync_that_is_refused_ends_no_training(monkeypatch, tmp_path):
    """flock that is not implemented, fsync of a folder that is refused, files that are held while they are removed."""
    for name in (checkpoints.STATE, "model.safetensors"):
        (tmp_path / name).write_text("{}")
    for number in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
        monkeypatch.setattr(os, "fsync", failing(number))
        checkpoints.write_manifest(tmp_path)
        assert checkpoints.find_corruption(tmp_path) is None
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(UserError):
        checkpoints.write_manifest(tmp_path)


@pytest.mark.fault(*NO_LOCKS)
@pytest.mark.parametrize("number", [errno.EBUSY, errno.ENOTEMPTY])
def test_file_that_is_still_held_is_a_warning(number, monkeypatch, capsys, tmp_path):
    """flock that is not implemented, fsync of a folder that is refused, files that are held while they are removed."""
    (tmp_path / "folder/below").mkdir(parents=True)
    (tmp_path / "folder/below/file").touch()
    monkeypatch.setattr(os, "rmdir", failing(number))
    storage.remove(tmp_path / "folder")
    assert "cannot be removed yet" in capsys.readouterr().err and not (tmp_path / "folder/below/file").exists()
    monkeypatch.setattr(os, "rmdir", failing(errno.EACCES))
    with pytest.raises(PermissionError):
        storage.remove(tmp_path / "folder")


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    """A checkout with one commit, from which the code seems to run."""
    folder = tmp_path / "outer" / "checkout"
    folder.mkdir(parents=True)
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C"]
    for place in (folder.parent, folder):
        subprocess.run([*git, place, "init", "--quiet"], check=True)
        subprocess.run([*git, place, "commit", "--quiet", "--allow-empty", "--message", str(place)], check=True)
    monkeypatch.setattr(storage, "REPOSITORY", folder)
    heads = [
        subprocess.check_output([*git, place, "rev-parse", "HEAD"], text=True).strip()
        for place in (folder, folder.parent)
    ]
    assert heads[0] != heads[1]
    return SimpleNamespace(folder=folder, commit=heads[0])


@pytest.mark.fault(*CHECKOUT)
def test_commit_is_that_of_the_code(checkout, monkeypatch, capsys):
    """A checkout of another owner, GIT_DIR of another repository, a copy inside of one, a damaged .git, and no git."""
    monkeypatch.setenv("GIT_DIR", str(checkout.folder.parent / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(checkout.folder.parent))
    with suppress(PermissionError):  # of a user who is not root, for whom the checkout stays the own one
        for path in (checkout.folder, checkout.folder / ".git"):
            os.chown(path, 1001, 1001)
    assert record.git_state() == {"commit": checkout.commit, "changed": False}
    (checkout.folder / "new").touch()
    assert record.git_state() == {"commit": checkout.commit, "changed": True}
    assert capsys.readouterr().err == ""


@pytest.mark.fault(*CHECKOUT)
def test_commit_that_cannot_be_known_is_a_warning(checkout, monkeypatch, capsys):
    """A checkout of another owner, GIT_DIR of another repository, a copy inside of one, a damaged .git, and no git."""
    shutil.move(checkout.folder / ".git/HEAD", checkout.folder / "HEAD")
    assert record.git_state() is None
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith(f"warning: {checkout.folder}: git does not tell the commit (")
    shutil.move(checkout.folder / "HEAD", checkout.folder / ".git/HEAD")
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", "")
    assert record.git_state() is None and "No such file" in capsys.readouterr().err
    monkeypatch.setenv("PATH", path)
    shutil.rmtree(checkout.folder / ".git")  # a copy without it, inside another repository
    assert record.git_state() is None and capsys.readouterr().err == ""


@pytest.mark.fault(*HARMLESS)
def test_single_process_forgets_the_launchers(monkeypatch):
    """All of them at once: launchers', proxies, certificates, encodings, Python's own, matplotlib's, git's, temporary
    folders; and a matplotlibrc in the folder of the user.
    """
    for name, value in {**LAUNCHERS, "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "1,0"}.items():
        monkeypatch.setenv(name, value)
    distributed.start()
    left = {name for name in LAUNCHERS if name in os.environ}
    assert left == {"SLURM_NTASKS", "SLURM_PROCID"} and os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.fault(*WANDB)
def test_settings_file_that_wandb_does_not_take_keeps_the_run_offline(track):
    """WANDB_DISABLED, `wandb offline` and `wandb disabled`, with a key."""
    described, told = track("mode = offline\nfoo = bar\n")
    assert described["mode"] != "online" and described["url"] is None
    assert "W&B does not take its settings file" in told
