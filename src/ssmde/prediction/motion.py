"""The pose network of trained weights as a function from two images to the motion between them."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, UInt8

from ssmde.data.images import resize_image
from ssmde.models.device import choose_device
from ssmde.models.load import load_weights_into, read_weights
from ssmde.models.pose_net import build_pose_net
from ssmde.models.stored import stored_config
from ssmde.prediction.loading import find_weights

POSE_PREFIX = "pose_net."


class MotionPredictor:
    """A trained pose network and the size it wants its images in.

    Args:
        path: A .safetensors file, a run folder, a released name or `hf:OWNER/NAME`.
        device: Where to compute; by default a GPU if there is one.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it holds no pose network, or one that learnt nothing.
    """

    def __init__(self, path: str | Path, device: torch.device | str | None = None) -> None:
        file = find_weights(path)
        tensors, metadata = read_weights(file)
        config = stored_config(file, metadata)
        if not any(key.startswith(POSE_PREFIX) for key in tensors):
            raise ValueError(
                f"{path}: holds no pose network; give weights of a network that was trained on "
                "video, such as those of its first stage"
            )
        if config.data.poses != "none" and config.loss.pose == 0:
            raise ValueError(
                f"{path}: its pose network never learnt, for the motion came with the frames "
                f"(data.poses {config.data.poses}, loss.pose 0); give weights that were trained "
                "with loss.pose above 0, or without poses"
            )
        network = build_pose_net(config.model.pose_net, scale=config.model.pose_scale)
        load_weights_into(network, tensors, POSE_PREFIX, origin=str(file))
        self.device = choose_device(device)
        self.network = network.to(self.device).eval()
        self.image_size = config.data.image_size
        self.gap = min(config.data.frame_gaps)
        """Frames between the images it was trained on, at least."""

    def see(self, pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "k m 3"]:
        """The image at the size of the network."""
        return resize_image(pixels, self.image_size)

    @torch.inference_mode()
    def __call__(
        self, target: UInt8[np.ndarray, "k m 3"], source: UInt8[np.ndarray, "k m 3"]
    ) -> Float64[np.ndarray, "4 4"]:
        """`T_src_tgt`, in scene units, from two images that `see` has resized."""
        views = [
            torch.from_numpy(view).to(self.device).permute(2, 0, 1)[None].float() / 255
            for view in (target, source)
        ]
        return self.network(*views)[0].double().cpu().numpy()
