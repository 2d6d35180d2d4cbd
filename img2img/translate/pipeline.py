"""Reading, translating and writing at the same time, within a bound of memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Stages(Generic[Item, Read, Made]):
    """What is done with an item. The first three and the last run in threads, several at once.

    Attributes:
        weigh: roughly how many bytes an item takes in memory until it is written; cheap, and may raise.
        read: item to what is translated.
        make: translate items of one bucket; one function a device, and each is called by one thread at a time.
        write: store the result of an item.
        bucket: of what was read: a key and how many items of this key are translated together; by default one.
    """

    weigh: Callable[[Item], int]
    read: Callable[[Item], Read]
    make: Sequence[Callable[[Sequence[Item], Sequence[Read]], Sequence[Made]]]
    write: Callable[[Item, Made], None]
    bucket: Callable[[Read], tuple[Hashable, int]] = lambda _: (None, 1)


@dataclass(frozen=True)
class Done(Generic[Item]):
    """An item that left the pipeline: written, or with the error that stopped it."""

    item: Item
    error: Exception | None = None


class _Held(NamedTuple, Generic[Item, Read]):
    """An item that was read and waits for others of its bucket."""

    item: Item
    weight: int
    read: Read


class _Room:
    """Lets items in by their order while they fit; one that is larger than all the room goes in alone.

    By order, so that an item that is waited for never waits for room that a later one holds.

    Args:
        size: in bytes.

    Attributes:
        waits: whether the next item does not fit in until others leave.
    """

    def __init__(self, size: int) -> None:
        self.size, self.used, self.next = size, 0, 0
        self.waits = self.opened = False
        self.change = threading.Condition()

    def enter(self, number: int, weight: int) -> None:
        def turn() -> bool:
            fits = not self.used or self.used + weight <= self.size
            if self.next == number:
                self.waits = not fits
            return self.opened or (self.next == number and fits)

        with self.change:
            self.change.wait_for(turn)
            self.used += weight
            self.next += 1
            self.change.notify_all()

    def leave(self, weight: int) -> None:
        with self.change:
            self.used -= weight
            self.change.notify_all()

    def open(self) -> None:
        """Let everybody in."""
        with self.change:
            self.opened = True
            self.change.notify_all()


def flow(
    items: Iterable[Item],
    stages: Stages[Item, Read, Made],
    *,
    threads: int,
    memory: int,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Done[Item]]:
    """Pass items through the stages and yield each as it is done, in order but for items that waited for their like.

    While the network works on some, the next are read and the ones before are written. Pillow and torch give the
    interpreter free while they compute, so threads are enough.

    Args:
        items: what to do.
        stages: how.
        threads: that read, and again as many that write.
        memory: bytes that items between reading and writing may weigh together, see :class:`Stages`.
        stop: asked before every item; once true, what has begun is finished and nothing more is begun.
    """
    run = _Flow(items, stages, threads, memory)
    with run.readers, run.writers, run.makers:
        try:
            while True:
                if not stop():
                    run.read_ahead()
                if not run.gather():
                    break
                yield from run.finished(most=2 * threads)
            yield from run.finished(most=0)
        finally:
            run.abandon()


_LOOK_S = 0.02
"""How often to look whether reading waits for room that items hold which wait for others of their bucket."""

_KEPT_BATCHES = 4
"""Batches that may be incomplete at a time: then the one begun first goes as it is."""


class _Flow(Generic[Item, Read, Made]):
    def __init__(self, items: Iterable[Item], stages: Stages[Item, Read, Made], threads: int, memory: int) -> None:
        self.waiting = enumerate(items)
        self.stages, self.room = stages, _Room(memory)
        self.readers = ThreadPoolExecutor(threads, "read")
        self.writers = ThreadPoolExecutor(threads, "write")
        self.makers = ThreadPoolExecutor(len(stages.make), "make")
        self.lanes: SimpleQueue[Callable[..., Sequence[Made]]] = SimpleQueue()
        for make in stages.make:
            self.lanes.put(make)
        self.ahead = 2 * threads
        self.widest = 1  # items of the largest batch so far, times lanes
        self.reading: deque[tuple[Item, Future[tuple[int, Read | Exception]]]] = deque()
        self.held: dict[Hashable, list[_Held[Item, Read]]] = {}
        self.making: deque[Future[list[Future[Done[Item]]]]] = deque()
        self.writing: deque[Future[Done[Item]]] = deque()

    def read_ahead(self) -> None:
        """Begin to read what comes next, so far that every lane finds its batch."""
        for number, item in islice(self.waiting, max(self.ahead + self.widest - 1 - len(self.reading), 0)):
            self.reading.append((item, self.readers.submit(_read, self.room, self.stages, number, item)))

    def gather(self) -> bool:
        """Take one item that was read, and hand over its batch if that is whole; return whether anything is left."""
        if not self.reading:
            if self.held:
                self.hand_over(next(iter(self.held)))
            return bool(self.held or self.reading)
        item, future = self.reading[0]
        while self.held and wait([future], _LOOK_S).not_done:
            if self.room.waits:
                self.hand_over(next(iter(self.held)))
        weight, found = future.result()
        self.reading.popleft()
        if isinstance(found, Exception):
            self.room.leave(weight)
            self.writing.append(_finished(Done(item, found)))
            return True
        key, count = self.stages.bucket(found)
        self.widest = max(self.widest, count * len(self.stages.make))
        self.held.setdefault(key, []).append(_Held(item, weight, found))
        if len(self.held[key]) >= count:
            self.hand_over(key)
        elif sum(map(len, self.held.values())) >= _KEPT_BATCHES * self.widest:
            self.hand_over(next(iter(self.held)))
        return True

    def hand_over(self, key: Hashable) -> None:
        """Have a batch translated and written."""
        batch = self.held.pop(key)
        if len(self.stages.make) == 1:
            self.writing.extend(self.make(batch))
            return
        self.making.append(self.makers.submit(self.make, batch))
        while self.making and (self.making[0].done() or len(self.making) > len(self.stages.make)):
            self.writing.extend(self.making.popleft().result())

    def make(self, batch: list[_Held[Item, Read]]) -> list[Future[Done[Item]]]:
        """Translate a batch, one by one if together fails, and have each result written."""
        lane = self.lanes.get()
        try:
            made = _tried(lane, [held.item for held in batch], [held.read for held in batch])
            if isinstance(made, Exception) and len(batch) > 1:
                alone = [_tried(lane, [held.item], [held.read]) for held in batch]
                results = [one if isinstance(one, Exception) else one[0] for one in alone]
            else:
                results = [made] if isinstance(made, Exception) else list(made)
        finally:
            self.lanes.put(lane)
        return [self.write(held, result) for held, result in zip(batch, results, strict=True)]

    def write(self, held: _Held[Item, Read], made: Made | Exception) -> Future[Done[Item]]:
        if isinstance(made, Exception):
            self.room.leave(held.weight)
            return _finished(Done(held.item, made))
        return self.writers.submit(_write, self.room, self.stages, held.item, made, held.weight)

    def abandon(self) -> None:
        """Let whoever waits for room in, so that all threads end; nothing to do where all is written."""
        for _, future in self.reading:
            future.cancel()
        self.room.open()

    def finished(self, most: int) -> Iterator[Done[Item]]:
        """Yield what is written, and wait for it where more than ``most`` are being written."""
        if not most:
            while self.making:
                self.writing.extend(self.making.popleft().result())
        while self.writing and (self.writing[0].done() or len(self.writing) > most):
            yield self.writing.popleft().result()


def _read(room: _Room, stages: Stages[Item, Read, Made], number: int, item: Item) -> tuple[int, Read | Exception]:
    weight = _tried(stages.weigh, item)
    if isinstance(weight, Exception):
        room.enter(number, 0)
        return 0, weight
    room.enter(number, weight)
    return weight, _tried(stages.read, item)


def _write(room: _Room, stages: Stages[Item, Read, Made], item: Item, made: Made, weight: int) -> Done[Item]:
    found = _tried(stages.write, item, made)
    room.leave(weight)
    return Done(item, found)


def _tried(stage: Callable[..., Result], *arguments: object) -> Result | Exception:
    """Return what a stage returns, or what it raises: whatever stops an item is the caller's to judge."""
    try:
        return stage(*arguments)
    except Exception as error:  # noqa: BLE001
        return error


def _finished(done: Done[Item]) -> Future[Done[Item]]:
    future: Future[Done[Item]] = Future()
    future.set_result(done)
    return future
