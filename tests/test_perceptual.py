"""LPIPS on a stand-in trunk is its paper's formula; ST-LPIPS is real, and tolerates shifts."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.image.lpips as library
from torchvision.models import alexnet

from img2img.errors import ConfigError, ModelFileError
from img2img.evaluate.paired import Paired
from img2img.evaluate.perceptual import lpips, st_lpips
from img2img.image import to_tensor
from tests.conftest import photo


def st_lpips_if_there():
    """ST-LPIPS where somebody has installed its package, parts of which are not free: so nothing here depends on it."""
    pytest.importorskip("stlpips_pytorch")
    return st_lpips()


@pytest.fixture(scope="module")
def photos():
    return torch.stack([to_tensor(photo(seed, 64)) for seed in range(3)])


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """AlexNet with weights of its own: (network, file, hash)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = alexnet(weights=None).eval()
    del network.classifier
    path = tmp_path_factory.mktemp("trunk") / "stand-in.pth"
    torch.save(network.state_dict(), path)
    return network, path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_lpips_is_the_formula_of_its_paper(trunk, photos):
    """Zhang et al. 2018, equation 1: unit-length features of five layers, squared differences weighted and averaged."""
    network, path, digest = trunk
    metric = lpips(path, sha256=digest)
    heads = torch.load(
        Path(library.__file__).parent / "lpips_models" / "alex.pth", map_location="cpu", weights_only=True
    )
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])

    def features(images):
        x, found = (images - shift.view(3, 1, 1)) / scale.view(3, 1, 1), []
        for i, layer in enumerate(network.features):
            x = layer(x)
            if i in {1, 4, 7, 9, 11}:
                found.append(x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt())
        return found

    a, b = photos, photos.roll(1, 0)
    with torch.no_grad():
        per_layer = zip(features(a), features(b), heads.values(), strict=True)
        wanted = sum(((x - y).square() * w.view(-1, 1, 1)).sum(1).mean((1, 2)) for x, y, w in per_layer)
        assert metric.measure(a, b).tolist() == pytest.approx(wanted.tolist(), rel=1e-4)
    assert metric.name == f"distance_of_trunk_{digest[:8]}"  # never printed as LPIPS
    assert "ANOTHER trunk" in metric.definition
    assert dict(metric.settings) == {"trunk_sha256": digest[:16]}


def test_a_trunk_that_is_not_the_one_is_refused(trunk, tmp_path):
    _, path, digest = trunk

    def fails(match, *arguments, **options):
        with pytest.raises(ModelFileError, match=match) as error:
            lpips(*arguments, **options)
        assert "\n" not in str(error.value)

    fails(rf"begins with 7be5be79 \(torchvision: alexnet-owt-7be5be79.pth\), got {digest[:16]}", path)
    fails("begins with 397923af", path, "vgg")
    fails("begins with abcd, got", path, sha256="abcd")
    fails("do not fit", path, "vgg", sha256=digest)
    fails("cannot be read", tmp_path / "none.pth")
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    fails("do not fit", text, sha256=hashlib.sha256(b"no weights").hexdigest())


def test_st_lpips_is_zero_symmetric_and_the_same_in_batches(photos):
    state, modules = torch.get_rng_state(), set(sys.modules)
    metric = st_lpips_if_there()
    assert torch.equal(torch.get_rng_state(), state)
    assert not {"IPython", "torchsummary"} & (set(sys.modules) - modules)
    with torch.no_grad():
        assert metric.measure(photos, photos).tolist() == [0, 0, 0]
        a, b = photos, photos.roll(1, 0)
        together = metric.measure(a, b)
        assert torch.allclose(together, metric.measure(b, a))
        assert torch.allclose(
            together, torch.cat([metric.measure(x[None], y[None]) for x, y in zip(a, b, strict=True)]), atol=1e-6
        )
    assert dict(metric.settings) == {"weights_sha256": "b356b382f96010f7"}


def test_st_lpips_tolerates_a_shift_and_sees_noise(photos):
    """The claim of Ghildyal and Liu 2022: what is one pixel off looks the same."""
    metric = st_lpips_if_there()
    image = photos[:1, :, :, :63]
    shifted = photos[:1, :, :, 1:]
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    of_shift = (shifted - image).square().mean().sqrt()
    with torch.no_grad():
        found = [float(metric.measure(image + much * noise, image)) for much in (of_shift, 0.3, 0.6)]
        assert float(metric.measure(shifted, image)) < 0.5 * found[0]  # noise of the same error
    assert found[0] < found[1] < found[2]


def test_grey_images_are_measured_as_they_look(photos):
    grey = photo(0, 64)[..., :1]
    paired = Paired([st_lpips_if_there()])
    assert paired.add("grey", grey, np.repeat(grey, 3, 2)) == {"st_lpips": 0}
    a, b = paired.add("1", grey, 255 - grey), paired.add("2", np.repeat(grey, 3, 2), np.repeat(255 - grey, 3, 2))
    assert a == pytest.approx(b)


def test_without_its_package_st_lpips_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "stlpips_pytorch", None)
    with pytest.raises(ConfigError, match="pip install --no-deps stlpips-pytorch"):
        st_lpips()
