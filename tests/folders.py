"""What lies in a folder, besides the record that ssmde keeps there."""

from ssmde.outputs import RECORD


def names_in(folder):
    """Names in order, hidden ones too."""
    return sorted(path.name for path in folder.iterdir() if path.name != RECORD)
