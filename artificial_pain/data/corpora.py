"""A corpus file becomes one frame.

The frame has one row per example: `text`, `label_name`, and for ESConv `turns` (the seeker's, a list of str),
`initial_intensity`, `final_intensity`, `intensity_change` (float, NaN where unknown), `problem_type` and
`experience_type`. Its index is the example's position in the corpus file, from 0.
"""

from pathlib import Path

import pandas as pd

from artificial_pain.data.esconv import read_esconv
from artificial_pain.data.sad import MAX_BYTES, read_sad
from artificial_pain.errors import UserError, as_user_error


def read_corpus(dataset_name: str, path: Path, label_column: str | None = None) -> pd.DataFrame:
    """Read a corpus file into a frame (see above). Raises UserError that names the file and the place in it."""
    with as_user_error(f"{path}: cannot be read", OSError, remedy="give another --data_source"):
        size = path.stat().st_size
        if not path.is_file():  # a folder, or a device without an end
            raise UserError(f"{path}: is not a file: give a file or a URL as --data_source")
        if size > MAX_BYTES:
            raise UserError(f"{path}: refused, it has {size:,} bytes: expected {MAX_BYTES:,} at most")
        content = path.read_bytes()
    if not content.strip():
        raise UserError(f"{path}: the file is empty")
    return read_esconv(content, path) if dataset_name == "ESConv" else read_sad(content, path, label_column)
