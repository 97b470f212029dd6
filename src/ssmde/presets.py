"""Where a run starts: the presets; every number of theirs says where it is from."""

from dataclasses import replace

from ssmde.config import (
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    PseudoDepthConfig,
    StudentConfig,
    TrainConfig,
)
from ssmde.console import did_you_mean
from ssmde.former import FORMER_PRESETS

# Godard et al., ICCV 2019, https://arxiv.org/abs/1806.01260, with its light pose network.
PHOTOMETRIC = Config(
    name="photometric",
    data=DataConfig(zoom=1.0),  # the paper mirrors and changes colours, nothing else
    loss=LossConfig(
        warmup=0.1,  # ours: docs/decisions/0006
        geometry=0.0,  # each view stands alone
        scales=(0,),  # all four in the paper, for 1.6 times the time: --loss.scales 0 1 2 3
    ),
    train=TrainConfig(
        pose_lr_multiplier=3.0,  # ours
        schedule="step",  # a tenth for the last quarter: 15 of 20 epochs
    ),
)

# Bian et al., NeurIPS 2019, https://arxiv.org/abs/1908.10553, and IJCV 2021,
# https://arxiv.org/abs/2105.11610; weights as the authors' later code has them.
CONSISTENT = Config(
    name="consistent",
    data=DataConfig(zoom=1.15, color_jitter=0.0),  # random zoom and crop; colours stay
    model=ModelConfig(
        upsampling="bilinear",
        depth_range=(0.1, 100.0),  # 1 / (10 sigmoid + 0.01) there
    ),
    loss=LossConfig(
        warmup=0.1,  # ours: docs/decisions/0006
        geometry=0.1,  # 0.5 in the papers
        smoothness=1e-3,  # 0.1 on normalised depth there
    ),
    train=TrainConfig(pose_lr_multiplier=3.0, schedule="constant"),
)

# Sun et al., TPAMI 2023, https://arxiv.org/abs/2211.03660: the consistent terms and pseudo-depth
# over the whole image, with a constant weight.
SC_DEPTH_V3 = replace(
    CONSISTENT,
    name="sc_depth_v3",
    loss=replace(CONSISTENT.loss, smoothness=0.0),
    pseudo_depth=PseudoDepthConfig(structure=0.1),
)

# Hu et al., Sensors 2024, https://doi.org/10.3390/s24134090, reconstructed from the abstract: stage
# 1 as SC-Depth V3, stage 2 with a filtered teacher. Motion from the whole video and labels in its
# unit are ours: docs/decisions/0007 and 0009 have the figures. In stage 2 the labels stay, for that
# measured better: docs/decisions/0014.
SS_MDE = replace(
    SC_DEPTH_V3,
    name="ss_mde",
    method="both",
    data=replace(SC_DEPTH_V3.data, poses="tracked"),
    # Ours, too: a network that has seen many places. "none" is the paper's random start.
    model=replace(SC_DEPTH_V3.model, start="small"),
    loss=replace(SC_DEPTH_V3.loss, sparse_depth=0.5),
    pseudo_depth=replace(SC_DEPTH_V3.pseudo_depth, source="ssmde:small", depth=0.5),
)

# The literal reading of the abstract: labels refine static areas and are forgotten exponentially;
# no measured points, motion by the pose network. LeReS's own labels: --pseudo-depth.source
# leres:FILE with its weights.
SS_MDE_ABSTRACT = replace(
    SC_DEPTH_V3,
    name="ss_mde_abstract",
    method="both",
    pseudo_depth=replace(SC_DEPTH_V3.pseudo_depth, source="ssmde:small"),
    student=StudentConfig(labels="static", forgetting="exponential"),
)

# A pseudo-depth network of one's own, from indoor recordings with measured depth. The weights of
# the terms are those of LeReS where it has them; the rest is ours and not tuned.
AFFINE_INDOOR = Config(
    name="affine_indoor",
    method="affine_depth",
    data=DataConfig(zoom=1.3, flip=0.5, color_jitter=0.8),
    model=ModelConfig(upsampling="bilinear"),
    train=TrainConfig(learning_rate=2e-4, schedule="cosine"),
)

PRESETS: dict[str, Config] = {
    preset.name: preset
    for preset in (PHOTOMETRIC, CONSISTENT, SC_DEPTH_V3, SS_MDE, SS_MDE_ABSTRACT, AFFINE_INDOOR)
}
"""Every preset by its name."""


def find_preset(name: str) -> Config:
    """The preset of that name; a ValueError names the closest one, and all."""
    if name in PRESETS:
        return PRESETS[name]
    if name in FORMER_PRESETS:
        raise ValueError(f"preset {name!r} is no more: {FORMER_PRESETS[name]}")
    raise ValueError(f"unknown preset {name!r}: {did_you_mean(name, PRESETS)}")
