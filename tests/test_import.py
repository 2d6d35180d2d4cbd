"""Published weights become a translator whose output is the original's, bit for bit; hostile files run nothing."""

from __future__ import annotations

import pickle
import random
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

import img2img
from img2img.__main__ import main
from img2img.checkpoint import save_translator
from img2img.errors import ConfigError, ModelFileError
from img2img.exchange.importing import domains_of, import_weights
from img2img.networks.layers.antialias import FilterDouble, FilterHalf
from img2img.networks.layers.convolutions import as_torch_does
from tests import originals
from tests.originals import Relative, ResNet, UNet, as_published, drawn


def imported(tmp_path, network, name="weights.pth", change=lambda state: state, **options):
    torch.save(change(network.state_dict()), tmp_path / name)
    return import_weights(tmp_path / name, **options)


def ours(made):
    """The imported generator, through its file, without the matrix products that round otherwise."""
    generator = made.file.generator(made.file.directions[0])
    as_torch_does(generator)
    return generator


def assert_same(made, original, side=32, *, evaluating=False):
    generator = ours(made)
    torch.manual_seed(1)
    image = torch.rand(1, generator.in_channels, side, 2 * side) * 2 - 1
    with torch.no_grad():
        expected = as_published(original, evaluating=evaluating)(image)
        assert expected.std() > 0.01, "the test would not see a mistake"
        assert torch.equal(generator(image), expected)
    return generator


RESNETS = {
    "resnet_9blocks": ({"blocks": 9}, {"num_blocks": 9, "norm": "instance"}),
    "resnet_6blocks": ({"blocks": 6}, {"num_blocks": 6, "norm": "instance"}),
    "resnet_6blocks, batch norm": ({"norm": originals.batch}, {"norm": "batch", "bias": None}),
    "dropout": ({"dropout": True}, {"dropout": 0.5}),
    "dropout, batch norm": ({"dropout": True, "norm": originals.batch}, {"dropout": 0.5}),
    "affine instance norm": ({"norm": originals.affine}, {"norm": "batch", "bias": True}),
    "padding by zeros": ({"pad": None}, {"block_padding": "zeros", "dropout": 0.0}),
    "padding by zeros, dropout": ({"pad": None, "dropout": True}, {"block_padding": "zeros"}),
    "1 to 3": ({"channels": (1, 3), "blocks": 1}, {"in_channels": 1, "out_channels": 3}),
    "3 to 1": ({"channels": (3, 1), "blocks": 1}, {"in_channels": 3, "out_channels": 1}),
    "7 to 5": ({"channels": (7, 5), "blocks": 1}, {"in_channels": 7, "out_channels": 5}),
    "before 0.4": ({"norm": originals.instance_of_2017}, {"norm": "instance"}),
    "CUT": ({"antialias": True, "antialias_up": True}, {"downsample": "cut", "upsample": "cut"}),
    "CUT, no_antialias_up": ({"antialias": True}, {"downsample": "cut", "upsample": "transposed"}),
    "CUT, no_antialias": ({"antialias_up": True}, {"downsample": "strided", "upsample": "cut"}),
    "CUT, batch norm": (
        {"antialias": True, "antialias_up": True, "norm": originals.batch, "blocks": 9},
        {"norm": "batch", "num_blocks": 9},
    ),
    "pix2pixHD global": (
        {"halvings": 4, "blocks": 9, "biased": True, "width": 2},
        {"num_halvings": 4, "num_blocks": 9, "norm": "instance"},
    ),
    "pix2pixHD global, batch norm": (
        {"halvings": 4, "blocks": 9, "biased": True, "width": 2, "norm": originals.batch, "channels": (36, 3)},
        {"num_halvings": 4, "norm": "batch", "bias": True, "in_channels": 36},
    ),
}


@pytest.mark.parametrize("kind", RESNETS)
def test_published_resnets_are_found_and_give_their_output_bit_for_bit(tmp_path, kind):
    options, expected = RESNETS[kind]
    original = drawn(ResNet(**options))
    made = imported(tmp_path, original)
    found = made.file.header["directions"]["a:b"]["generator"]
    assert found["class_path"] == "img2img.ResNetGenerator"
    assert {name: found["init_args"][name] for name in expected} == expected
    assert_same(made, original)


@pytest.mark.parametrize("depth", [8, 7])
@pytest.mark.parametrize("norm", [originals.batch, originals.instance])
def test_published_unets_are_found_and_give_their_output_bit_for_bit(tmp_path, depth, norm):
    original = drawn(UNet(depth=depth, norm=norm))
    made = imported(tmp_path, original)
    found = made.file.header["directions"]["a:b"]["generator"]
    assert found["class_path"] == "img2img.UNetGenerator"
    assert found["init_args"]["depth"] == depth
    assert_same(made, original, 2**depth)


def test_matrix_products_differ_from_the_original_by_rounding_alone(tmp_path):
    original = drawn(UNet(depth=7, width=8))
    translator = imported(tmp_path, original).file.generator("a:b")
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(translator(image), as_published(original)(image), atol=1e-5, rtol=0)


def test_running_averages_are_used_where_asked_for(tmp_path):
    original = drawn(ResNet(norm=originals.batch, blocks=2))
    made = imported(tmp_path, original, statistics="running")
    assert_same(made, original, evaluating=True)
    assert made.file.header["directions"]["a:b"]["norm_statistics"] == "running averages of the training"
    assert "running averages" not in str(made.unused)
    with pytest.raises(ConfigError, match="no batch norm"):
        imported(tmp_path, ResNet(blocks=1), statistics="running")


def test_what_a_file_holds_too_much_is_listed(tmp_path):
    old = imported(tmp_path, drawn(ResNet(norm=originals.instance_of_2017, blocks=1)))
    assert old.unused["a:b"] == [
        "14 running statistics of instance norm (the original ignores them too)",
        "7 batch counters (of training alone)",
    ]
    cut = imported(tmp_path, drawn(ResNet(blocks=1, antialias=True, antialias_up=True)))
    assert cut.unused["a:b"] == ["4 fixed filters (built in)"]
    pix = imported(tmp_path, drawn(UNet(depth=5)))
    assert any(line.endswith("running averages of batch norm (the image's own are used)") for line in pix.unused["a:b"])


WRAPPINGS = {
    "module.": lambda s: OrderedDict((f"module.{name}", tensor) for name, tensor in s.items()),
    "state_dict": lambda s: {"epoch": 3, "state_dict": dict(s)},
    "with its optimizer": lambda s: {"netG": s, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    "sorted by name": lambda s: dict(sorted(s.items())),
    "shuffled": lambda s: dict(random.Random(0).sample(list(s.items()), len(s))),
    "half precision": lambda s: {name: tensor.half() for name, tensor in s.items()},
    "parameters": lambda s: {name: nn.Parameter(tensor) for name, tensor in s.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("network", [ResNet, UNet])
def test_files_come_in_many_wrappings(tmp_path, wrapping, network):
    original = drawn(network(norm=originals.instance, **({"depth": 5} if network is UNet else {})))
    if wrapping == "half precision":
        original.load_state_dict({name: tensor.half().float() for name, tensor in original.state_dict().items()})
    assert_same(imported(tmp_path, original, change=WRAPPINGS[wrapping]), original)


def test_files_of_before_2020_are_read(tmp_path):
    original = drawn(ResNet(blocks=1))
    torch.save(original.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(import_weights(tmp_path / "old.pth"), original)


def test_relatives_are_matched_by_shape_and_order(tmp_path):
    original = drawn(Relative())
    assert_same(imported(tmp_path, original), original)


def test_a_relative_that_resizes_differs_by_rounding_alone(tmp_path):
    original = drawn(Relative(nearest=True))
    made = imported(tmp_path, original)
    assert made.file.header["directions"]["a:b"]["generator"]["init_args"]["upsample"] == "resize"
    assert "doubling by nearest neighbour" in made.assumed["a:b"]
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(ours(made)(image), original(image), atol=1e-5, rtol=0)


def test_cuts_filters_keep_a_flat_image_and_learn():
    flat = torch.full((1, 2, 8, 8), 0.7)
    torch.testing.assert_close(FilterHalf()(flat), torch.full((1, 2, 4, 4), 0.7))
    torch.testing.assert_close(FilterDouble()(flat), torch.full((1, 2, 16, 16), 0.7))
    stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 2, 8, 8)
    assert FilterHalf()(stripes).abs().max() == 0  # a plain stride would give all 1 or all -1
    network = img2img.ResNetGenerator(3, 3, 1, 4, upsample="cut", downsample="cut")
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert min(p.grad.abs().max() for p in network.parameters() if p.dim() > 1) > 0


def test_what_weights_cannot_tell_can_be_said(tmp_path):
    original = drawn(ResNet(blocks=2, pad=nn.ReplicationPad2d))
    made = imported(tmp_path, original)
    assert "padding by reflection" in made.assumed["a:b"]
    made = imported(tmp_path, original, options={"block_padding": "replicate"})
    assert "padding by reflection" not in made.assumed["a:b"]
    assert_same(made, original)
    plain = drawn(ResNet(blocks=1, norm=originals.no_norm))
    assert_same(imported(tmp_path, plain, options={"norm": "none"}), plain)
    with pytest.raises(ConfigError, match="did you mean 'padding'"):
        imported(tmp_path, original, options={"paddin": "zeros"})


def test_several_networks_in_a_file_need_a_key(tmp_path):
    ab, ba = drawn(ResNet(blocks=1)), drawn(ResNet(blocks=1), 1)
    torch.save({"G_A": ab.state_dict(), "G_B": ba.state_dict()}, tmp_path / "both.pth")
    with pytest.raises(ModelFileError, match="holds 2 generators: G_A, G_B; choose one with --key"):
        import_weights(tmp_path / "both.pth")
    assert_same(import_weights(tmp_path / "both.pth", key="G_B"), ba)
    prefixed = {f"net{k}.{n}": t for k, m in (("G", ab), ("D", nn.Conv2d(3, 1, 4))) for n, t in m.state_dict().items()}
    torch.save({"state_dict": prefixed}, tmp_path / "lightning.ckpt")
    assert_same(import_weights(tmp_path / "lightning.ckpt", key="netG"), ab)
    with pytest.raises(ModelFileError, match="--key: netG, netD"):
        import_weights(tmp_path / "lightning.ckpt")
    with pytest.raises(ModelFileError, match="nothing under 'netX'"):
        import_weights(tmp_path / "lightning.ckpt", key="netX")


def changed(state, name, tensor):
    return {**state, name: tensor}


REFUSED = {
    "a discriminator": (
        lambda s: nn.Sequential(nn.Conv2d(3, 8, 4), nn.Conv2d(8, 1, 3)).state_dict(),
        "expected a ResNet",
    ),
    "no tensors": (lambda s: {"epoch": 3}, "got none; keys: epoch"),
    "a list": (lambda s: [torch.zeros(2)], "got a list"),
    "a layer less": (lambda s: {n: t for n, t in s.items() if "model.10.conv_block.5" not in n}, "expected pairs"),
    "a bias less": (
        lambda s: {n: t for n, t in s.items() if n != "model.2.weight"},
        "could not be matched|no known kind",
    ),
    "another shape": (lambda s: changed(s, "model.5.bias", torch.zeros(9)), "expected layers"),
    "NaN": (lambda s: changed(s, "model.1.weight", s["model.1.weight"] * float("nan")), "holds NaN or infinity"),
    "a layer more": (lambda s: changed(s, "extra.weight", torch.zeros(3)), "no place for extra"),
    "attention": (lambda s: changed(s, "attention.gamma", torch.zeros(1)), "no known kind"),
    "other filters": (lambda s: changed(s, "blur.filt", torch.ones(8, 1, 5, 5)), "expected CUT's"),
    "pix2pixHD local": (lambda s: changed(s, "model1_1.1.weight", torch.zeros(4, 3, 7, 7)), "local enhancer"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_matched_is_refused_in_one_line_that_names_it(tmp_path, kind):
    change, message = REFUSED[kind]
    torch.save(change(drawn(ResNet(norm=originals.batch, blocks=2)).state_dict()), tmp_path / "w.pth")
    with pytest.raises(ModelFileError, match=message) as caught:
        import_weights(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("w.pth: ")


class Bomb:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return eval, (self.command,)


def hostile(tmp_path, kind):
    path, mark = tmp_path / "w.pth", tmp_path / "it_ran"
    bomb = Bomb(f"open({str(mark)!r}, 'w').close()")
    match kind:
        case "zip":
            torch.save({"model.1.weight": bomb}, path)
        case "legacy":
            torch.save({"model.1.weight": bomb}, path, _use_new_zipfile_serialization=False)
        case "plain pickle":
            path.write_bytes(pickle.dumps(bomb))
        case "old protocol":
            path.write_bytes(pickle.dumps(bomb, protocol=0))
        case "whole module":
            torch.save(ResNet(blocks=1), path)
        case "truncated":
            torch.save(ResNet(blocks=1).state_dict(), path)
            path.write_bytes(path.read_bytes()[:-3000])
        case "flipped":
            torch.save(ResNet(blocks=1).state_dict(), path)
            data = bytearray(path.read_bytes())
            data[40:400] = bytes(360)
            path.write_bytes(data)
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("<html>404</html>")
        case "folder":
            path.mkdir()
    return path, mark


@pytest.mark.parametrize(
    "kind",
    [
        "zip",
        "legacy",
        "plain pickle",
        "old protocol",
        "whole module",
        "truncated",
        "flipped",
        "empty",
        "text",
        "folder",
    ],
)
def test_hostile_and_broken_files_run_nothing_and_give_one_line(tmp_path, kind):
    path, mark = hostile(tmp_path, kind)
    with pytest.raises(ModelFileError) as caught:
        import_weights(path)
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    if kind in {"zip", "legacy", "plain pickle"}:
        assert "could run code" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "domains"),
    [
        ("horse2zebra.pth", ("horse", "zebra")),
        ("edges2cats_AtoB.pth", ("edges", "cats")),
        ("facades_label2photo.pth", ("label", "photo")),
        ("horse2zebra_pretrained/latest_net_G.pth", ("horse", "zebra")),
        ("summer2winter_yosemite/latest_net_G_B.pth", ("winter", "summer")),
        ("style_monet.pth", ("a", "b")),
        ("latest_net_G_B.pth", ("b", "a")),
        ("v2.pth", ("a", "b")),
    ],
)
def test_domains_come_from_the_name(path, domains):
    assert domains_of(Path("/weights") / path) == domains


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run the program as ``img2img WORDS`` does, without a process of its own: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["img2img", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def test_the_command_from_weights_to_a_translated_picture(tmp_path, command):
    ab, ba = drawn(ResNet(blocks=1)), drawn(ResNet(blocks=1, dropout=True), 1)
    torch.save(ab.state_dict(), tmp_path / "horse2zebra.pth")
    torch.save(ba.state_dict(), tmp_path / "zebra2horse.pth")
    words = ("import", "horse2zebra.pth", "--back", "zebra2horse.pth")
    code, said, _ = command(*words, "--licence", "research only", "--set", "strided_padding=zeros")
    assert code == 0
    assert "horse -> zebra: ResNetGenerator(" in said
    assert "strided_padding=zeros" in said
    assert "assumed       padding by reflection" in said
    told = command("info", "horse2zebra.safetensors")[1]
    for line in (
        *("horse -> zebra", "zebra -> horse", "ResNetGenerator(num_blocks=1"),
        *("imported from horse2zebra.pth and zebra2horse.pth", "weights: raw", "licence         research only"),
    ):
        assert line in told
    assert '"licence": "research only"' in command("info", "horse2zebra.safetensors", "--json")[1]
    translator = img2img.load(tmp_path / "horse2zebra.safetensors", "cpu", precision="fp32")
    image = torch.rand(1, 3, 24, 32) * 2 - 1
    with torch.no_grad():
        assert torch.equal(translator.tensor(image, "horse"), as_published(ba)(image))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("horse2zebra.pth",), "exists already"),
        (("nothing.pth", "x.safetensors"), "no such file"),
        (("horse2zebra.pth", "x.safetensors", "--norm-statistics", "batch"), "expected image or running"),
        (("horse2zebra.pth", "x.safetensors", "--domains", "a", "a"), "two different domain names"),
        (("horse2zebra.pth", "x.safetensors", "--set", "padding"), "expected OPTION=VALUE"),
        (("horse2zebra.pth", "x.safetensors", "--set", "num_blocks=2"), "could not be matched"),
        (("horse2zebra.pth", "nowhere/x.safetensors"), "existing folder"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, command, words, message):
    torch.save(ResNet(blocks=1).state_dict(), tmp_path / "horse2zebra.pth")
    (tmp_path / "horse2zebra.safetensors").write_bytes(b"precious")
    code, _, said = command("import", *words)
    assert code == 1
    assert message in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["horse2zebra.pth", "horse2zebra.safetensors"]
    assert (tmp_path / "horse2zebra.safetensors").read_bytes() == b"precious"


def test_more_channels_than_a_picture_has_are_said(tmp_path):
    made = imported(tmp_path, drawn(ResNet(channels=(36, 3), blocks=1)), domains=("label", "street"))
    assert any("36 channels" in line for line in made.assumed["label:street"])
    save_translator(tmp_path / "m.safetensors", made.file)
    translator = img2img.load(tmp_path / "m.safetensors", "cpu", precision="fp32")
    assert translator.tensor(torch.zeros(1, 36, 20, 20)).shape == (1, 3, 20, 20)
