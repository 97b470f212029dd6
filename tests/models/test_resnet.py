"""ResNets: torchvision's names, the sizes of the maps, the arithmetic of a block."""

import pytest
import torch
from torch.testing import assert_close

from ssmde.models.resnet import (
    BasicBlock,
    Bottleneck,
    GroupedBottleneck,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnext101,
)

BN_KEYS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_keys(blocks: tuple[int, ...], convs: int, first_stage_projects: bool) -> list[str]:
    """Names as torchvision gives them, by its rule: conv and norm in turn, projections last."""
    keys = ["conv1.weight", *(f"bn1.{key}" for key in BN_KEYS)]
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            for i in range(1, convs + 1):
                keys += [f"{name}.conv{i}.weight", *(f"{name}.bn{i}.{key}" for key in BN_KEYS)]
            if block == 0 and (stage > 1 or first_stage_projects):
                keys += [
                    f"{name}.downsample.0.weight",
                    *(f"{name}.downsample.1.{key}" for key in BN_KEYS),
                ]
    return keys


@pytest.mark.parametrize(
    ("build", "blocks", "convs", "projects", "parameters"),
    [
        # torchvision's documented counts, less the classifier of 1000 classes
        (resnet18, (2, 2, 2, 2), 2, False, 11_689_512 - 513_000),
        (resnet34, (3, 4, 6, 3), 2, False, 21_797_672 - 513_000),
        (resnet50, (3, 4, 6, 3), 3, True, 25_557_032 - 2_049_000),
        (resnext101, (3, 4, 23, 3), 3, True, 88_791_336 - 2_049_000),
    ],
)
def test_names_order_and_count_of_parameters_are_torchvisions(
    build, blocks, convs, projects, parameters
):
    with torch.device("meta"):
        net = build()
    assert list(net.state_dict()) == torchvision_keys(blocks, convs, projects)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_the_grouped_bottleneck_mixes_channels_only_within_its_32_groups():
    strides = [getattr(Bottleneck(64, 32, 2), f"conv{i}").stride for i in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]
    block = GroupedBottleneck(64, 64, 1)
    assert block.conv2.weight.shape == (256, 8, 3, 3)  # 32 groups of 8, as the 8d of 32x8d says
    x = torch.zeros(1, 256, 3, 3)
    x[:, 8:16] = 1.0
    reached = block.conv2(x).abs().amax(dim=(0, 2, 3)) > 0
    assert reached.nonzero().flatten().tolist() == list(range(8, 16))


def test_convolutions_start_with_the_spread_of_he_et_al():
    net = ResNet(BasicBlock, (1, 1, 1, 1))
    weight = net.layer4[0].conv2.weight  # 512 x 512 x 3 x 3: enough to measure
    assert_close(weight.std().item(), (2 / (512 * 9)) ** 0.5, rtol=0.01, atol=0)
    assert_close(
        net.layer4[0].downsample[0].weight.std().item(), (2 / 512) ** 0.5, rtol=0.01, atol=0
    )


def test_no_map_changes_after_it_was_made():
    net = resnet18().eval()
    seen = []
    net.layer1.register_forward_hook(lambda _m, _i, out: seen.append(out.clone()))
    maps = net(torch.randn(1, 3, 32, 32))
    assert_close(maps[1], seen[0])
    assert all((m >= 0).all() for m in maps)
