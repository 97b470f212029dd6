"""Videos, photos and official archives become scene folders, and these become shards."""

from ssmde.preparation.archives import prepare_dataset
from ssmde.preparation.packing import pack
from ssmde.preparation.videos import prepare

__all__ = ["pack", "prepare", "prepare_dataset"]
