"""Files that appear as a whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file as a whole: readers see the old content or the new one.

    Raises:
        OSError: there is no such folder, or it cannot be written; names the folder.
    """
    try:
        opened = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False)  # noqa: SIM115
    except OSError as error:
        why = error.strerror
        if isinstance(error, FileNotFoundError):
            why = "the folder takes no files" if path.parent.is_dir() else "there is no such folder"
        raise OSError(error.errno, why, str(path.parent)) from error
    with opened as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
