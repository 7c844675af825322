"""The settings that a dataloader records with its splits."""

FLAGS = ("samples_per_label", "data_source", "max_length", "seed", "label_column")


def dataloader_flags(settings: dict) -> list[str]:
    """The dataloader's flags that give the recorded settings again; a setting that is missing or None has none."""
    return [word for name in FLAGS if settings.get(name) is not None for word in (f"--{name}", str(settings[name]))]
