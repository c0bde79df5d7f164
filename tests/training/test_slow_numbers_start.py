"""A dense model that learns numbers from before detrending starts from one without them, and with its answers."""

import torch

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model
from goodricke.preprocess import DenseConfig
from goodricke.training.families import adopt


def network(config: DenseConfig, seed: int) -> Astrafier:
    torch.manual_seed(seed)
    sizes = {"embed": 8, "heads": 2, "blocks": 1, "kernels": [3], "bilstm": False, "attention": False}
    return Astrafier(AstrafierConfig(classes=2, context=config.context, spectrum=config.spectrum, **sizes)).eval()


def test_more_numbers_weigh_nothing_at_first():
    before, after = DenseConfig(spectrum=16), DenseConfig(spectrum=16, slow_numbers=True)
    old, new = network(before, 0), network(after, 1)
    config = BundleConfig(
        name="m", family="astrafier", classes=("A", "B"), network=old.config.model_dump(), preprocessing=before
    )
    adopt(new, after, Model(config, old), ("A", "B"), ())
    values, time = torch.randn(3, 20, 1), torch.arange(20.0).expand(3, -1)
    numbers = torch.randn(3, after.context)
    expected = old(values, time, None, context=numbers[:, : before.context]).logits
    torch.testing.assert_close(new(values, time, None, context=numbers).logits, expected)
