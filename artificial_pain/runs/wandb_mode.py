"""Whether W&B goes online: what its variables and its settings files say, and what of them it does not take."""

import os

from artificial_pain.errors import first_line, logger


def resolve() -> str:
    """WANDB_MODE, or that of W&B's settings files, where it needs no key; else online if there is a key, and offline if
    there is none, or where W&B cannot be set up as the environment says.
    """
    import wandb

    if _drop_invalid() or _files_are_refused():
        return "offline"
    mode = os.environ.get("WANDB_MODE") or wandb.setup().settings.mode  # "online" also where nothing says it
    if mode in ("offline", "dryrun", "disabled") or wandb.login(prompt=False, verify=False):
        return mode
    if mode := os.environ.get("WANDB_MODE"):
        logger.warning(f"WANDB_MODE is {mode}, but W&B has no API key (WANDB_API_KEY or `wandb login`): logged offline")
    return "offline"


def _drop_invalid() -> bool:
    """Take W&B's variables that it would not take out of the environment, with a warning; whether there are any."""
    import wandb

    refused = []
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        if not os.environ[name].strip(" ,"):
            del os.environ[name]  # of nothing, as W&B's own command takes it
            continue
        try:
            wandb.Settings().update_from_env_vars({name: os.environ[name]})
        except (ValueError, wandb.Error):  # the first is pydantic's too
            logger.warning(f"{name} is {os.environ[name]!r}, which W&B does not take: logged offline, without it")
            refused.append(name)
    for name in refused:
        del os.environ[name]  # later, so that stars stand for secrets above
    return bool(refused)


def _files_are_refused() -> bool:
    """Whether W&B cannot read its settings files, with a warning. It would go on without them, and so online."""
    import wandb

    settings = wandb.setup().settings
    try:
        fields = settings.read_system_settings().all()
        wandb.Settings(**{name: value for name, value in fields.items() if name not in ("ignore_globs", "anonymous")})
    except Exception as error:  # of many families: configparser's, pydantic's, of the encoding, wandb's own
        places = f"{settings.settings_system} or {settings.settings_workspace}"
        logger.warning(f"W&B does not take its settings file {places} ({first_line(error)}): logged offline")
        return True
    return False
