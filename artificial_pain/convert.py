"""Convert an encoder whose weights are pickled to safetensors. Only tensors are read from the pickle.

python -m artificial_pain.convert mental/mental-bert-base-uncased mental-bert-base-uncased
"""

import argparse
import pickle
import shlex
import shutil

from artificial_pain import cli, encoders, storage
from artificial_pain.errors import UserError, as_user_error


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("convert", __doc__)
    parser.add_argument("name", type=encoders.checked_name, help="an encoder of the hub, or a folder with one")
    parser.add_argument("folder", type=cli.path, help="the new folder, which the scripts then take as --model_name")
    parser.add_argument("--revision", default=encoders.DEFAULT_REVISION, help="on the hub (default: %(default)s)")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if args.folder.exists():
        raise UserError(f"{args.folder}: is there already: give the name of a new folder")

    encoder = encoders.fetch(args.name, args.revision, weights=encoders.PICKLED)

    # Imported here, so that --help and a gated encoder are answered at once.
    from huggingface_hub import ModelCardData
    from transformers import AutoModel

    from artificial_pain.runs import model_card

    kinds = OSError, ValueError, RuntimeError, LookupError, EOFError, AttributeError, pickle.UnpicklingError
    with as_user_error(f"{encoder.folder / encoders.PICKLED}: is not an encoder's tensors alone", *kinds):
        safely = {"local_files_only": True, "weights_only": True, "trust_remote_code": False}
        model = AutoModel.from_pretrained(encoder.folder, use_safetensors=False, **safely)
    with storage.atomic_update(args.folder) as folder:
        model.save_pretrained(folder)
        shutil.copymode(folder / encoders.CONFIG, folder / encoders.WEIGHTS)  # safetensors: the owner's alone
        encoders.load_tokenizer(encoder).save_pretrained(folder)
        card = ModelCardData(license=model_card.encoder_licence(encoder), base_model=encoder.name)
        (folder / encoders.CARD).write_text(f"---\n{card.to_yaml()}\n---\n", encoding="utf-8")
    print(f"{args.folder}: now an encoder for the scripts: --model_name {shlex.quote(str(args.folder))}")


if __name__ == "__main__":
    cli.run(main, parse_args)
