"""Reading, translating and writing at the same time: nothing lost, in the memory there is, whatever fails."""

from __future__ import annotations

import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from img2img.translate.pipeline import Stages, flow


@given(
    weights=st.lists(st.integers(1, 12), max_size=30),
    broken=st.dictionaries(st.integers(0, 29), st.sampled_from(["weigh", "read", "make", "write"])),
    threads=st.integers(1, 3),
    lanes=st.integers(1, 3),
    batch=st.integers(1, 4),
    kinds=st.integers(1, 3),
)
def test_every_item_is_done_once_within_the_memory(weights, broken, threads, lanes, batch, kinds):
    lock, inside, most, written, made = threading.Lock(), Counter(), [0], [], []

    def stage(name):
        def run(item, *_):
            if broken.get(item) == name:
                with lock:
                    inside.pop(item, None)
                raise ValueError(name)
            if name == "weigh":
                return weights[item]
            with lock:
                if name == "read":
                    inside[item] = weights[item]
                    most[0] = max(most[0], sum(inside.values()) if len(inside) > 1 else 0)
                if name == "write":
                    inside.pop(item)
                    written.append(item)
            return None if name == "write" else item

        return run

    def make(items, found):
        assert items == found
        assert 1 <= len(items) <= batch
        assert len({item % kinds for item in items}) == 1
        if len(items) > 1 and any(broken.get(item) == "make" for item in items):
            raise ValueError("together")
        result = [stage("make")(item) for item in items]
        made.append(items)
        return result

    stages = Stages(stage("weigh"), stage("read"), [make] * lanes, stage("write"), lambda item: (item % kinds, batch))
    done = list(flow(range(len(weights)), stages, threads=threads, memory=10))
    assert sorted(one.item for one in done) == list(range(len(weights)))
    if lanes == batch == 1:
        assert [one.item for one in done] == list(range(len(weights)))
    assert {one.item: str(one.error) for one in done if one.error} == {
        i: n for i, n in broken.items() if i < len(weights)
    }
    assert sorted(written) == [i for i in range(len(weights)) if i not in broken]
    assert most[0] <= 10


def test_batches_are_whole_but_for_the_last_of_each_kind():
    sizes = []
    stages = Stages(
        lambda _: 1,
        lambda item: item,
        [lambda items, _: sizes.append(len(items)) or items],
        lambda *_: None,
        lambda item: (item % 2, 4),
    )
    assert len(list(flow(range(50), stages, threads=2, memory=1000))) == 50
    assert sorted(sizes) == [1, 1] + [4] * 12


def test_a_pipeline_that_is_stopped_finishes_what_has_begun():
    begun, finished = [], []
    stages = Stages(
        lambda _: 1,
        lambda item: begun.append(item) or item,
        [lambda items, _: items],
        lambda i, _: finished.append(i),
    )
    for done in flow(range(1000), stages, threads=2, memory=100, stop=lambda: len(finished) > 20):
        assert done.error is None
    assert sorted(begun) == sorted(finished)
    assert len(finished) < 100


def test_a_pipeline_that_is_left_in_the_middle_ends_its_threads():
    """Readers that wait for room would otherwise keep the process alive for ever."""
    stages = Stages(lambda _: 10, lambda item: item, [lambda items, _: items], lambda *_: None)
    found = flow(range(100), stages, threads=3, memory=10)
    next(found)
    found.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read", "write", "make"))]
