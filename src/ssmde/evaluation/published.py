"""Published tables as data: part, number of images, and the figures of others with their source.

Only figures that were read in a paper, or in the project page of a method, are here; none was
measured by us. Of Bonn and TUM none could be read so.
"""

from dataclasses import dataclass

from ssmde.data.scene_folder import Split


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFigure:
    """What others say of a method."""

    name: str
    source: str
    """Where it was read."""
    numbers: dict[str, float]
    """Some of `METRICS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """One table of the literature."""

    protocol: str
    """One of `PROTOCOLS`."""
    split: Split
    """Part of a prepared data set that it is about."""
    images: dict[int, str]
    """Number of images of its variants, and their names; empty if the literature disagrees."""
    note: str
    figures: tuple[PublishedFigure, ...] = ()


def _figures(source: str, metrics: str, *rows: str) -> tuple[PublishedFigure, ...]:
    """Figures from lines `name: numbers`, a dash where there is none."""
    found = list[PublishedFigure]()
    for row in rows:
        name, numbers = row.split(":")
        pairs = zip(metrics.split(), numbers.split(), strict=True)
        values = {metric: float(number) for metric, number in pairs if number != "-"}
        found.append(PublishedFigure(name=name, source=source, numbers=values))
    return tuple(found)


SSMDE_PAPER = "Hu et al., Sensors 2024, abstract"
FULL = "abs_rel sq_rel rmse rmse_log d1 d2 d3"

KITTI = PublishedTable(
    protocol="kitti",
    split="test",
    images={697: "Eigen test, scans", 652: "Eigen benchmark, improved depth"},
    note="figures: Eigen test of 697 images, scans, median alignment, training on monocular video; "
    "Monodepth2 and its kin count from 0.001 m",
    figures=(
        *_figures(SSMDE_PAPER, "abs_rel d1", "SS-MDE: .111 .87"),
        *_figures(
            "README of MDL-Depth", FULL,
            "SC-DepthV3: .118 .756 4.756 .188 .864 .960 .984",
        ),
        *_figures(
            "README of sc_depth_pl, released model", FULL,
            "SC-DepthV1: .119 .878 4.987 .196 .859 .956 .981",
        ),
        *_figures(
            "project page of the method", FULL,
            "Monodepth2: .115 .903 4.863 .193 .877 .959 .981",
            "PackNet: .111 .785 4.601 .189 .878 .960 .982",
            "HR-Depth: .109 .792 4.632 .185 .884 - -",
            "Lite-Mono: .107 .765 4.561 .183 .886 - -",
            "MonoViT: .099 .708 4.372 .175 .900 - -",
            "ManyDepth, 2 frames: .098 .770 4.459 .176 .900 - -",
            "DynamicDepth, 2 frames: .096 .720 4.458 .175 .897 - -",
        ),
    ),
)  # fmt: skip
NYUV2 = PublishedTable(
    protocol="nyuv2",
    split="test",
    images={654: "labelled test images"},
    note="figures: 654 labelled test images, median alignment, training on monocular video",
    figures=(
        *_figures(SSMDE_PAPER, "abs_rel d1", "SS-MDE: .102 .89"),
        *_figures(
            "README of MonoLDP", "abs_rel rmse d1 d2 d3",
            "SC-DepthV3: .123 .486 .848 .963 .991",
            "GasMono: .113 .459 .871 .973 .992",
            "IndoorDepth: .126 .494 .845 .965 .991",
            "MonoIndoor++: .133 .551 .830 .964 .991",
            "MonoIndoor: .142 .581 .802 .952 .990",
            "P2Net: .150 .561 .796 - -",
            "Monodepth2: .161 .600 .771 - -",
        ),
        *_figures(
            "README of sc_depth_pl, released model", "abs_rel rmse log10 d1 d2 d3",
            "SC-DepthV2: .142 .554 .061 .808 .951 .987",
        ),
    ),
)  # fmt: skip
DDAD = PublishedTable(
    protocol="ddad",
    split="val",
    images={3950: "validation, front camera"},
    note="figures: validation part, front camera, median alignment",
    figures=_figures(
        "README of packnet-sfm", "abs_rel rmse d1",
        "PackNet: .173 14.36 .835",
        "ResNet18: .227 17.37 .758",
    ),
)  # fmt: skip
NONE_READ = "no published figure is shown: none was found in a source that could be read"
TABLES: dict[str, PublishedTable] = {
    "kitti": KITTI,
    "nyuv2": NYUV2,
    "ddad": DDAD,
    "bonn": PublishedTable(protocol="bonn", split="test", images={}, note=NONE_READ),
    "tum": PublishedTable(protocol="tum", split="test", images={}, note=NONE_READ),
}
