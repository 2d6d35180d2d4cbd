"""Blind choices between two pictures: who made them is told to nobody before the votes are counted.

"Which is real?" follows the study of pix2pix (Isola et al. 2017, section 4.1, arXiv 1611.07004) and CycleGAN (Zhu et
al. 2017, section 5.1.1, arXiv 1703.10593): both pictures show for one second, then the question stands as long as it
takes; practice trials with feedback come first and are not counted.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image

from img2img import report
from img2img.errors import ConfigError
from img2img.evaluate.comparison import Compared, asset, inputs, paired_with
from img2img.evaluate.contenders import Contender, Say, by_stem, one_direction, rows, stem_of
from img2img.evaluate.publish import page_of, publish
from img2img.translate.report import spread

Question = Literal["real", "better"]
REAL = "real"
"""Stands in a key where models have their names."""

PAGE_NAME = "blind.html"
_WORDS = {
    "real": (
        "Which is real?",
        "One picture of each pair is real, the other was made by a program.",
        "Left is real",
        "Right is real",
    ),
    "better": ("Which is better?", "Two programs made these of the input.", "Left is better", "Right is better"),
}


@dataclass(frozen=True)
class Trial:
    """One choice.

    Attributes:
        row: which input.
        left: which maker stands on the left; -1 is the real picture.
        right: likewise.
    """

    row: int
    left: int
    right: int


def _choices(question: Question, num_models: int) -> list[tuple[int, int]]:
    pairs = (
        [(-1, model) for model in range(num_models)] if question == REAL else list(combinations(range(num_models), 2))
    )
    if not pairs:
        raise ConfigError("--blind better: expected two MODELs or more to choose between, got one")
    return pairs


def deal(question: Question, num_rows: int, num_models: int, trials: int, practice: int, seed: int) -> list[Trial]:
    """Deal trials: pictures as evenly as they go, no choice twice, order and sides at random.

    Args:
        question: ``real`` sets each model against the real picture, ``better`` models against one another.
        num_rows: inputs.
        num_models: models.
        trials: that are counted.
        practice: that come first.
        seed: decides order and sides.

    Returns:
        Practice, then trials; fewer of both, in proportion, where there are not enough different ones.

    Raises:
        ConfigError: if nobody can be chosen between.
    """
    pairs = _choices(question, num_models)
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(num_rows, generator=random).tolist()
    shift = torch.randperm(len(pairs), generator=random).tolist()
    possible = num_rows * len(pairs)
    all_of_them = min(practice + trials, possible)
    dealt = []
    for index in range(all_of_them):
        around, at = divmod(index, num_rows)
        dealt.append((order[at], pairs[shift[(at + around) % len(pairs)]]))
    flips = (torch.randperm(len(dealt), generator=random) % 2).tolist()  # either side as often as the other
    shuffled = torch.randperm(len(dealt), generator=random).tolist()
    return [Trial(dealt[i][0], *(dealt[i][1][::-1] if flips[i] else dealt[i][1])) for i in shuffled]


def write_study(
    question: Question,
    contenders: Sequence[Contender],
    source: str | Path,
    out: Path,
    *,
    references: Path | None = None,
    to: str | None = None,
    trials: int = 40,
    practice: int = 10,
    seconds: float = 1.0,
    seed: int = 0,
    say: Say = lambda _: None,
) -> Compared:
    """Write a page of blind choices; what is named in the result are the inputs that are shown.

    Args:
        question: see :func:`deal`.
        contenders: whose pictures are judged.
        source: an image, a folder or a pattern.
        out: the page, or a folder for it.
        references: real pictures, for ``real``: those named as the inputs, or where no name agrees, any of them.
        to: target domain.
        trials: that are counted.
        practice: that come first, with the answer told; ``better`` has none, as nobody knows it.
        seconds: that a pair is shown; 0 has no limit.
        seed: of order, sides and partners.
        say: told of each contender when its turn comes.

    Raises:
        ConfigError: if references are missing or of no use, or the contenders do not take one direction.
        DataError: if there are no images.
    """
    if (question == REAL) != (references is not None):
        need = "needs --references, a folder of real pictures" if question == REAL else "has no use for --references"
        raise ConfigError(f"--blind {question} {need}")
    _choices(question, len(contenders))
    practice = practice if question == REAL else 0
    page = page_of(out, PAGE_NAME)
    one_direction(contenders, to)
    found = inputs(source, page)
    real = by_stem(references) if references else {}
    if references and any(stem_of(name) in real for name, _ in found):
        found = paired_with(found, real, references)
    chosen = [found[index] for index in sorted(spread(len(found), trials + practice))]
    partners = _partners([name for name, _ in chosen], real, seed)
    made, failed = rows(contenders, chosen, partners, marked=False, say=say)
    if not made:
        return Compared(page, [], failed)
    dealt = deal(question, len(made), len(contenders), trials, practice, seed)
    practice = practice * len(dealt) // (practice + trials)
    pictures: dict[bytes, int] = {}
    shown = []
    for trial in dealt:
        row = made[trial.row]
        sides = {"left": trial.left, "right": trial.right}
        pngs = {
            side: row.outputs[maker] if maker >= 0 else _as_large_as(row.reference, row.outputs[max(sides.values())])
            for side, maker in sides.items()
        } | ({"input": row.source} if question == "better" else {})
        shown.append({side: pictures.setdefault(png, len(pictures)) for side, png in pngs.items()})
    key = {
        "makers": [one.name for one in contenders],
        "trials": [[made[trial.row].name, trial.left, trial.right] for trial in dealt],
    }
    study: dict[str, Any] = {
        "question": question,
        "practice": practice,
        "seconds": seconds,
        "trials": shown,
        "answers": ["left" if trial.left < 0 else "right" for trial in dealt[:practice]],
        "key": base64.b64encode(json.dumps(key).encode()).decode(),
    }
    study["study"] = hashlib.sha256(json.dumps(study).encode() + b"".join(pictures)).hexdigest()[:12]
    outside = publish(page, list(pictures), lambda addresses: _page({**study, "pictures": list(addresses)}))
    return Compared(page, [made[index].name for index in sorted({trial.row for trial in dealt})], failed, outside)


def _partners(names: Sequence[str], real: Mapping[str, Path], seed: int) -> dict[str, Path]:
    """Return a real picture for each input: that of its name, or one drawn at random where names do not pair."""
    if not real:
        return {}
    if stem_of(names[0]) in real:
        return {name: real[stem_of(name)] for name in names}
    paths = list(real.values())
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
    return {name: paths[order[index % len(paths)]] for index, name in enumerate(names)}


def _as_large_as(png: bytes | None, other: bytes) -> bytes:
    """Resize the real picture to the size of the made one, which would else tell them apart."""
    assert png is not None
    with Image.open(io.BytesIO(png)) as image, Image.open(io.BytesIO(other)) as like:
        if image.size == like.size:
            return png
        data = io.BytesIO()
        image.convert("RGB").resize(like.size, Image.Resampling.LANCZOS).save(data, "PNG")
    return data.getvalue()


def _page(study: Mapping[str, Any]) -> str:
    title, about, left, right = _WORDS[study["question"]]
    limit = f" Each pair shows for {study['seconds']:g} s, then you are asked." if study["seconds"] else ""
    begin = f" The first {study['practice']} are for practice: you are told the answer." if study["practice"] else ""
    sides = ["input"] * (study["question"] == "better") + ["left", "right"]
    wide = " three" if "input" in sides else ""
    figures = "".join(
        f'<figure><div><img id="{side}" alt="{side}"></div><figcaption>{side}</figcaption></figure>' for side in sides
    )
    data = json.dumps(dict(study)).replace("<", "\\u003c")
    body = (
        f'<div id="start"><p>{escape(about + limit + begin)} The arrow keys answer too. Votes stay in this browser '
        "until you save them at the end, as a file to send back.</p><p><label>your name, if you like "
        '<input id="voter" autocomplete="off"></label></p><p><button id="go">Start</button> '
        '<button id="again" hidden>Start anew</button></p></div>'
        f'<div id="trial" hidden><p id="count"></p><div class="stage{wide}">{figures}</div></div>'
        f'<div id="answers" class="answers" hidden><button id="vote-left">{left}</button>'
        f'<button id="vote-right">{right}</button></div>'
        '<div id="feedback" hidden><p id="said" role="status"></p><button id="on">Next</button></div>'
        '<div id="end" hidden><p>That was the last one. Thank you!</p><button id="done">Save the votes</button></div>'
        '<p id="note"></p><p><button id="save" hidden>Save the votes so far</button></p>'
        f'<script type="application/json" id="study">{data}</script>'
    )
    return report.page(title, body, style=asset("blind.css"), script=asset("blind.js"))
