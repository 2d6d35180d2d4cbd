"""Videos in, the same videos out: times, sound, colours, turns; no flicker; nothing torn. Clips made on the spot."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import img2img
from img2img.checkpoint import save_translator
from img2img.errors import ConfigError, DataError
from img2img.image import clip_reading, clip_writing
from img2img.image.clip_reading import opened_clip
from img2img.image.provenance import SOURCE_TYPE
from img2img.networks.layers.norm import Norm2d
from img2img.translate import steady
from img2img.translate.files import Files
from img2img.translate.folder import translate_folder
from img2img.translate.inputs import plan
from img2img.translate.memory import Memory
from img2img.translate.statistics import fixed, measure_at_once
from img2img.translate.steady import measure_clip, steadied
from tests.conftest import drawing, run_here
from tests.test_checkpoint import a_file

SIZE = (32, 24)
CODECS = {"webm": ("libvpx-vp9", "libopus"), "avi": ("mpeg4", "mp2")}
SOURCE = ("--strength", "0", "--video-crf", "1")
"""Options that give back the source through everything but the network."""


def still(level=0, size=SIZE):
    """Four quarters of different colours, so that turns show; uint8 [H, W, 3]."""
    width, height = size
    picture = np.full((height, width, 3), 40 + level, np.uint8)
    picture[: height // 2, : width // 2] = (220, 40, 40)
    picture[: height // 2, width // 2 :] = (40, 200, 60)
    picture[height // 2 :, : width // 2] = (60, 60, 210)
    return picture


def film(path, frames=None, *, times=None, base=Fraction(1, 24), sound=False, turn=None, form="yuv420p", **told):
    """Write a clip: frames of pictures or of PyAV, by default 12 that brighten; ``told`` is of the codec's context."""
    codec, voice = CODECS.get(path.suffix[1:], ("libx264", "aac"))
    frames = [still(8 * i) for i in range(12)] if frames is None else frames
    times = list(range(len(frames))) if times is None else times
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "A clip"
        video = container.add_stream(told.pop("codec", codec), rate=24)
        first = frames[0]
        video.height, video.width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
        video.pix_fmt, video.codec_context.time_base = form, base
        for name, value in told.items():
            setattr(video.codec_context, name, value)
        if turn is not None:
            video.set_display_rotation(*turn)
        audio = container.add_stream(voice, rate=48000, layout="mono") if sound else None
        for time, picture in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(picture) if isinstance(picture, np.ndarray) else picture
            frame.pts, frame.time_base = time, base
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            wave = (np.sin(np.arange(24000) / 17) * 9000).astype(np.int16)[None]
            resampler = av.AudioResampler(audio.format, "mono", 48000, audio.frame_size or 960)
            whole = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            whole.sample_rate, whole.pts = 48000, 0
            for frame in [*resampler.resample(whole), *resampler.resample(None)]:
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def shown(path):
    """Frames in RGB, and the seconds at which they are shown."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames]), [frame.time for frame in frames]


def heard(path):
    """The packets of every stream that is no video."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.stream.type != "video" and packet.pts is not None]
        return [(packet.stream.type, bytes(packet)) for packet in packets]


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


# What is kept


@pytest.mark.parametrize("suffix", ["mp4", "mov", "m4v", "mkv", "webm", "avi"])
def test_a_video_keeps_name_container_size_times_and_sound(model, clips, out, suffix):
    source = film(clips / f"clip.{suffix}", sound=True)
    said = run_here("translate", model, clips, out, "--device", "cpu").stdout
    assert "1 translated, 0 failed" in said
    target = out / source.name
    before, after = shown(source), shown(target)
    assert after[0].shape == before[0].shape
    assert not np.array_equal(after[0], before[0])
    assert np.allclose(after[1], before[1], atol=1e-4)
    assert heard(target) == heard(source)
    assert heard(source)
    with av.open(str(source)) as one, av.open(str(target)) as other:
        assert one.format.name == other.format.name
        assert one.streams.video[0].average_rate == other.streams.video[0].average_rate
        assert other.metadata["title"] == "A clip"
    assert "<figure>" in (out / "report.html").read_text()
    assert [json.loads(line)["status"] for line in (out / "report.jsonl").read_text().splitlines()] == ["translated"]
    assert "1 skipped" in run_here("translate", model, clips, out, "--device", "cpu").stdout


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_frames_of_unequal_length_keep_their_times(model, clips, out, suffix):
    times = [0, 40, 55, 200, 210, 700, 740]
    film(clips / f"v.{suffix}", [still(9 * i) for i in range(7)], times=times, base=Fraction(1, 1000))
    run_here("translate", model, clips, out, "--device", "cpu")
    assert [round(time * 1000) for time in shown(out / f"v.{suffix}")[1]] == times


@pytest.mark.parametrize(("suffix", "form"), [("mp4", "yuv444p"), ("mkv", "yuv444p"), ("webm", "yuv420p"), ("avi", "")])
def test_odd_sides_stay_odd(model, clips, out, suffix, form):
    film(clips / f"odd.{suffix}", [still(9 * i, (33, 21)) for i in range(3)], form=form or "yuv420p")
    said = run_here("translate", model, clips, out, "--device", "cpu").stdout
    assert shown(out / f"odd.{suffix}")[0].shape == (3, 21, 33, 3)
    assert ("4:4:4" in said) == (suffix in {"mp4", "mkv"})


TURNS = [(degrees, flip) for degrees in (0, 90, 180, -90) for flip in (False, True)]


@pytest.mark.parametrize(("degrees", "flip"), TURNS)
def test_the_network_and_the_output_see_every_turn_upright(model, clips, out, degrees, flip):
    """The rotation is anticlockwise, then mirrored (FFmpeg, libavutil/display.h); the output needs no turning."""
    stored = still()
    film(clips / "t.mov", [stored] * 2, turn=(degrees, flip))
    run_here("translate", model, clips, out, *SOURCE)
    upright = np.rot90(stored, degrees // 90)
    with av.open(str(clips / "t.mov")) as container:
        assert (next(container.decode(video=0)).rotation - degrees) % 360 == 0 or flip
    upright = upright[:, ::-1] if flip else upright
    with av.open(str(out / "t.mov")) as container:
        frame = next(container.decode(video=0))
    assert frame.rotation == 0
    middles = tuple(slice(side // 4, None, side // 2) for side in upright.shape[:2])
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - upright)[middles].max() <= 8


def test_subtitles_chapters_and_languages_are_kept(model, clips, out):
    path = film(clips / "plain.mkv")
    with av.open(str(path)) as source, av.open(str(clips / "s.mkv"), "w") as container:
        video = container.add_stream_from_template(source.streams.video[0])
        words = container.add_mux_stream("subrip", time_base=Fraction(1, 1000))
        words.metadata["language"] = "deu"
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 250, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        for packet in source.demux():
            if packet.size:
                packet.stream = video
                container.mux(packet)
        packet = av.Packet(b"Guten Tag")
        packet.pts = packet.dts = 100
        packet.duration, packet.time_base, packet.stream = 200, Fraction(1, 1000), words
        container.mux(packet)
    path.unlink()
    run_here("translate", model, clips, out, "--device", "cpu")
    assert heard(out / "s.mkv") == heard(clips / "s.mkv") == [("subtitle", b"Guten Tag")]
    with av.open(str(out / "s.mkv")) as container:
        assert container.streams.subtitles[0].language == "deu"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["One"]


# Colours

MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Weights of red and blue in brightness: ITU-R BT.709, BT.601, BT.2020, by their numbers in ITU-T H.273."""


def chart():
    """Squares of 16 px of 24 colours, RGB [64, 96, 3]."""
    levels = np.random.default_rng(0).integers(16, 240, (4, 6, 3))
    return levels.repeat(16, 0).repeat(16, 1).astype(np.uint8)


MIDDLES = (slice(7, None, 16), slice(7, None, 16))
"""Of the squares: at their borders colour differences are those of two."""


def brightness_and_differences(rgb, matrix, full):
    """ITU-R BT.709-6, 3.2 to 3.5 and the like: a frame in 4:2:0."""
    red, blue = MATRICES[matrix]
    unit = rgb / 255.0
    y = unit @ np.array([red, 1 - red - blue, blue])
    planes = y, (unit[..., 2] - y) / (2 - 2 * blue), (unit[..., 0] - y) / (2 - 2 * red)
    scales = ((255, 0), (255, 128), (255, 128)) if full else ((219, 16), (224, 128), (224, 128))
    levels = [
        np.rint(plane * scale + zero).astype(np.uint8) for plane, (scale, zero) in zip(planes, scales, strict=True)
    ]
    stacked = np.concatenate([levels[0].ravel(), levels[1][::2, ::2].ravel(), levels[2][::2, ::2].ravel()])
    return stacked.reshape(-1, rgb.shape[1])


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_colours_go_in_and_out_as_the_stream_says(model, clips, out, suffix, matrix, full):
    """Against the formula, both ways: what the network sees, and what is stored."""
    stored = brightness_and_differences(chart(), matrix, full)
    frame = av.VideoFrame.from_ndarray(stored, format="yuv420p")
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    told = {"colorspace": matrix, "color_range": 2 if full else 1, "options": {"crf": "1"}}
    film(clips / f"c.{suffix}", [frame], **told)
    with opened_clip(clips / f"c.{suffix}", "c") as clip:
        seen = clip.survey(lambda: None).samples[0].pixels()
    assert np.abs(seen[MIDDLES].astype(int) - chart()[MIDDLES]).max() <= 3
    run_here("translate", model, clips, out, *SOURCE)
    with av.open(str(out / f"c.{suffix}")) as container:
        written = next(container.decode(video=0))
    assert (written.colorspace, written.color_range) == (matrix, 2 if full else 1)
    given = stored.astype(int)
    assert np.abs(written.to_ndarray(format="yuv420p").astype(int) - given)[:64][MIDDLES].max() <= 2


def test_streams_that_do_not_say_keep_their_colours_and_say_nothing(model, clips, out):
    film(clips / "u.mp4", [chart()] * 2, options={"crf": "1"})
    film(clips / "u.avi", [chart()] * 2, options={"qmin": "1", "qmax": "1"})
    run_here("translate", model, clips, out, *SOURCE)
    for name in ("u.mp4", "u.avi"):
        with av.open(str(out / name)) as container:
            assert next(container.decode(video=0)).colorspace == 2
        apart = np.abs(shown(out / name)[0].astype(int) - shown(clips / name)[0])
        assert apart[:, *MIDDLES].max() <= 4, name


def test_what_is_not_kept_is_said(model, clips, out):
    film(
        clips / "deep.mkv", [av.VideoFrame.from_ndarray(still()).reformat(format="yuv420p10le")] * 2, form="yuv420p10le"
    )
    said = run_here("translate", model, clips, out, "--device", "cpu").stdout
    assert "10 bits reduced to 8" in said


# Flicker


def brightening(count=6):
    """A quiet picture, and in a corner of it a square that gets brighter."""
    quiet = np.asarray(drawing(3, (64, 48))[1]).copy()
    frames = [quiet.copy() for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[:16, :16] = 255 * number // (count - 1)
    return frames


def test_a_clip_translated_by_its_own_statistics_does_not_flicker(clips, out):
    """Mean absolute difference of neighbouring frames where nothing moves, beyond the reach of what does."""
    save_translator(clips.parent / "m.safetensors", a_file(img2img.ResNetGenerator, num_blocks=1)[0])
    film(clips / "f.mkv", brightening(), form="yuv444p", options={"crf": "0"})
    flicker = {}
    for statistics in ("clip", "frame"):
        target = out / statistics
        words = ("--video-statistics", statistics, "--video-crf", "0", "--device", "cpu")
        run_here("translate", clips.parent / "m.safetensors", clips, target, *words)
        quiet = shown(target / "f.mkv")[0].astype(int)[:, 40:, 40:]
        flicker[statistics] = np.abs(np.diff(quiet, axis=0)).mean()
    assert flicker["frame"] > 1
    assert flicker["clip"] < flicker["frame"] / 5
    settings = "video_statistics"
    with pytest.raises(DataError, match=settings):
        img2img.load(clips.parent / "m.safetensors", "cpu").folder(clips, out / "frame")


class JoinedBatch(nn.BatchNorm2d):
    """Torch's own batch norm, as it normalises a batch in training."""

    def __init__(self, norm):
        super().__init__(norm.channels, eps=norm.eps, affine=False)
        self.train()


def replaced(module):
    for name, child in module.named_children():
        if isinstance(child, Norm2d):
            setattr(module, name, JoinedBatch(child))
        else:
            replaced(child)
    return module


@pytest.fixture
def network():
    return a_file(img2img.ResNetGenerator, num_blocks=2)[1]["line:colour"].eval()


@torch.inference_mode()
def test_statistics_of_a_clip_are_those_of_its_frames_as_one_batch(network):
    frames = brightening()
    batch = torch.stack([torch.from_numpy(frame).permute(2, 0, 1) / 127.5 - 1 for frame in frames])
    moments = measure_clip(network, frames, 1 << 30)
    with fixed(network, moments):
        alone = torch.cat([network(one[None]) for one in batch])
    joined = replaced(network)(batch)
    assert torch.allclose(alone, joined, atol=2e-5)


@torch.inference_mode()
def test_less_memory_gives_the_same_or_says_what_it_does(network):
    frames, px = brightening(), 64 * 48
    said = []
    whole = measure_clip(network, frames, 6 * px, say=said.append)
    by_norm = measure_clip(network, frames, px, "exact", said.append)
    assert said == []
    for one, other in zip(whole, by_norm, strict=True):
        assert torch.allclose(one.mean, other.mean, atol=1e-5)
        assert torch.allclose(one.variance, other.variance, rtol=1e-4, atol=1e-6)
    four = measure_clip(network, frames, 4 * px, say=said.append)
    assert "from 4 frames" in said[-1]
    picked = torch.stack([torch.from_numpy(frames[i]).permute(2, 0, 1) / 127.5 - 1 for i in (0, 2, 3, 5)])
    for one, other in zip(four, measure_at_once(network, picked), strict=True):
        assert torch.allclose(one.mean, other.mean, atol=1e-6)
    measure_clip(network, frames, 2 * px, say=said.append)
    assert "reduced to" in said[-1]


@torch.inference_mode()
def test_memory_that_runs_out_is_asked_for_less(network, monkeypatch):
    measured = []

    def measure(network, images):
        measured.append(images.numel())
        if len(measured) < 3:
            raise torch.OutOfMemoryError("out of memory")
        return measure_at_once(network, images)

    monkeypatch.setattr(steady, "measure_at_once", measure)
    assert measure_clip(network, brightening(), 1 << 30)
    assert measured == sorted(measured, reverse=True)
    monkeypatch.setattr(steady, "measure_at_once", lambda *_: measure_clip(None, [], 0) and None)
    monkeypatch.setattr(steady, "_measured", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(DataError, match="smaller size"):
        measure_clip(network, brightening(), 1 << 30)


def test_pictures_do_not_learn_of_a_clip(network):
    image = torch.rand(1, 3, 24, 32) * 2 - 1
    with torch.inference_mode():
        before = network(image)
        with steadied(network, torch.device("cpu"), "fp32", Memory(), brightening()) as engine:
            assert not torch.allclose(engine(image), before)
            assert torch.equal(network(image), before)
        assert torch.equal(engine(image), before)


def test_frames_in_tiles_have_the_statistics_of_the_clip_too(network):
    """Two tiles that overlap by more than the network looks, or it would be said."""
    said = []
    frames = [frame.repeat(3, 0).repeat(3, 1) for frame in brightening()]
    image = torch.from_numpy(frames[0]).permute(2, 0, 1)[None] / 127.5 - 1
    whole = steadied(network, torch.device("cpu"), "fp32", Memory(), frames)
    tiled = steadied(network, torch.device("cpu"), "fp32", Memory(168, 56, say=said.append), frames)
    with whole as one, tiled as other:
        assert torch.allclose(one(image), other(image), atol=1e-4)
    assert said == []


# Long, damaged, stopped


def test_memory_does_not_grow_with_the_video(model, clips, out, monkeypatch):
    alive, most = weakref.WeakSet(), [0]
    plain = clip_reading.Frame.__init__

    def counted(self, *arguments):
        plain(self, *arguments)
        alive.add(self)
        most[0] = max(most[0], len(alive))

    monkeypatch.setattr(clip_reading.Frame, "__init__", counted)
    film(clips / "long.mp4", [still(i) for i in range(120)])
    gc.collect()
    assert img2img.load(model, "cpu").folder(clips, out).failed == {}
    assert 8 <= most[0] <= 18
    assert len(shown(out / "long.mp4")[0]) == 120


def test_samples_are_spread_evenly_over_any_clip(clips):
    for count, picked in ((1, [0]), (15, list(range(15))), (16, list(range(0, 16, 2))), (100, list(range(0, 100, 8)))):
        film(clips / "n.mkv", [still(i) for i in range(count)])
        with opened_clip(clips / "n.mkv", "n") as clip:
            survey = clip.survey(lambda: None)
        assert survey.num_frames == count
        assert [round(float(frame.pts * Fraction(24, 1000))) for frame in survey.samples] == picked


def test_damaged_videos_are_named_and_the_rest_goes_on(model, clips, out):
    film(clips / "good.mp4", sound=True)
    data = film(clips / "whole.mkv", [np.roll(still(), i, 0) for i in range(48)], sound=True).read_bytes()
    for name, content in (
        ("half.mkv", data[: len(data) // 2]),
        ("half.mp4", (clips / "good.mp4").read_bytes()[:1500]),
        ("empty.mov", b""),
        ("text.avi", b"<html>404</html>"),
        ("list.webm", b"#EXTM3U\n#EXTINF:1,\nwhole.mkv\n"),
    ):
        (clips / name).write_bytes(content)
    drawing(1)[1].save(clips / "picture.png")
    (clips / "folder.mp4").mkdir()
    said = run_here("translate", model, clips, out, "--device", "cpu", code=3).stdout
    assert "3 translated, 5 failed" in said
    lines = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    reasons = {line["input"]: line["reason"] for line in lines if line["status"] == "failed"}
    assert set(reasons) == {"half.mkv", "half.mp4", "empty.mov", "text.avi", "list.webm"}
    assert all(reason.startswith("damaged or truncated") and "\n" not in reason for reason in reasons.values())
    assert str(clips) not in said
    assert {path.name for path in out.iterdir() if path.suffix in {".mp4", ".mkv", ".tmp"}} == {"good.mp4", "whole.mkv"}


def test_a_video_that_is_stopped_leaves_nothing_and_is_done_by_the_next_run(model, clips, out):
    film(clips / "clip.mp4")
    drawing(1)[1].save(clips / "picture.png")
    translator, parts = img2img.load(model, "cpu"), []
    translator.settle()
    how = replace(translator.how(), within=parts.append, stop=lambda: bool(parts) and parts[-1] > 0.4)
    report = translate_folder(translator.translation(), plan([clips], out), how)
    assert (report.translated, report.not_reached) == (["picture.png"], ["clip.mp4"])  # the picture had begun too
    assert parts == sorted(parts)
    assert sorted(path.name for path in out.iterdir()) == [".img2img-journal.jsonl", "picture.png"]
    assert "begin" in (out / ".img2img-journal.jsonl").read_text()
    assert translator.folder(clips, out).translated == ["clip.mp4"]


def test_without_pyav_videos_fail_by_one_line_and_images_go_on(model, clips, out, monkeypatch):
    film(clips / "clip.mp4")
    drawing(1)[1].save(clips / "picture.png")
    for name in [
        name for name in sys.modules if name.split(".")[0] == "av" or "clip_" in name or name.endswith(".video")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    said = run_here("translate", model, clips, out, "--device", "cpu", code=3).stdout
    assert "failed: clip.mp4: a video needs PyAV: pip install 'img2img-toolkit[video]'" in said
    assert "1 translated, 1 failed" in said


# Options


def test_the_mark_is_where_programs_look_for_it(model, clips, out):
    for name in ("a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi"):
        film(clips / name)
    run_here("translate", model, clips, out, "--device", "cpu")
    run_here("translate", model, clips, out.with_name("bare"), "--device", "cpu", "--no-mark", "--strip-metadata")
    for path in clips.iterdir():
        with av.open(str(out / path.name)) as container:
            told = {key.lower(): text for key, text in container.metadata.items()}
            assert SOURCE_TYPE in told["comment"]
        with av.open(str(out.with_name("bare") / path.name)) as container:
            assert not {key.lower() for key in container.metadata} & {"comment", "title"}
        data = (out / path.name).read_bytes()
        assert (b"<x:xmpmeta" in data) == (path.suffix in {".mp4", ".mov"})
        assert SOURCE_TYPE.encode() not in (out.with_name("bare") / path.name).read_bytes()


def test_size_and_quality(model, clips, out):
    film(clips / "a.mkv", [np.roll(chart(), i, 0) for i in range(6)])
    for name, words in (("fine", ("--video-crf", "4")), ("coarse", ("--video-crf", "45")), ("large", ("--size", "51"))):
        run_here("translate", model, clips, out / name, "--device", "cpu", *words)
    assert (out / "fine" / "a.mkv").stat().st_size > 2 * (out / "coarse" / "a.mkv").stat().st_size
    assert shown(out / "large" / "a.mkv")[0].shape == (6, 52, 76, 3)
    with pytest.raises(ConfigError, match="0 to 51"):
        Files(video_crf=52)


def test_a_build_without_h264_writes_mpeg4(model, clips, out, monkeypatch):
    monkeypatch.setattr(clip_writing, "_ENCODERS", ("libnone", "mpeg4"))
    film(clips / "a.mp4", sound=True)
    run_here("translate", model, clips, out, "--device", "cpu")
    with av.open(str(out / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert np.allclose(shown(out / "a.mp4")[1], shown(clips / "a.mp4")[1], atol=1e-4)
    monkeypatch.setattr(clip_writing, "_ENCODERS", ("libnone",))
    assert (
        "encodes none of libnone" in run_here("translate", model, clips, out / "no", "--device", "cpu", code=1).stdout
    )


def test_masks_are_refused_for_videos_alone(model, clips, out, tmp_path):
    film(clips / "clip.mp4")
    drawing(1)[1].save(clips / "picture.png")
    (tmp_path / "masks").mkdir()
    Image.new("L", (48, 40), 255).save(tmp_path / "masks" / "picture.png")
    said = run_here("translate", model, clips, out, "--device", "cpu", "--mask", tmp_path / "masks", code=3).stdout
    assert "failed: clip.mp4: a video has no masks" in said
    assert "1 translated, 1 failed" in said


def test_names_formats_and_what_is_no_name(model, clips, out):
    film(clips / "a.MKV", sound=True)
    film(clips / "b.webm").rename(clips / "b")
    drawing(1)[1].save(clips / "c.jpg")
    jobs = {job.name: job.target.name for job in plan([clips], out).jobs}
    assert jobs == {"a.MKV": "a.MKV", "b": "b.webm", "c.jpg": "c.jpg"}
    jobs = {job.name: job.target.name for job in plan([clips], out, file_format="mp4").jobs}
    assert jobs == {"a.MKV": "a.mp4", "b": "b.mp4", "c.jpg": "c.jpg"}
    jobs = {job.name: job.target.name for job in plan([clips], out, file_format="png").jobs}
    assert jobs == {"a.MKV": "a.MKV", "b": "b.webm", "c.jpg": "c.png"}
    with pytest.raises(DataError, match="there are no videos"):
        plan([clips / "c.jpg"], out, file_format="mp4")
    for source, target in (("a.MKV", "x.png"), ("c.jpg", "x.mp4")):
        with pytest.raises(DataError, match="expected an existing folder or a name that ends in"):
            plan([clips / source], out / target)
    run_here("translate", model, clips / "a.MKV", out.parent / "one.mp4", "--device", "cpu")
    assert heard(out.parent / "one.mp4") == heard(clips / "a.MKV")
    said = run_here("translate", model, clips / "a.MKV", out.parent / "one.avi", "--device", "cpu", code=1).stdout
    assert "AVI has no times" in said


@pytest.mark.parametrize("channels", [(1, 3), (3, 1)])
def test_grey_on_either_side(clips, out, channels, tmp_path):
    save_translator(tmp_path / "m.safetensors", a_file(img2img.ResNetGenerator, channels=channels, num_blocks=1)[0])
    film(clips / "a.mp4")
    assert img2img.load(tmp_path / "m.safetensors", "cpu").folder(clips, out).failed == {}
    colours = shown(out / "a.mp4")[0].astype(int)
    assert channels == (1, 3) or np.abs(colours - colours.mean(-1, keepdims=True)).max() <= 4
