"""Reading, translating and writing at the same time, within a bound of memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Stages(Generic[Item, Read, Made]):
    """What is done with an item. The first, second and last run in threads, several at once; the third does not.

    Attributes:
        weigh: roughly how many bytes an item takes in memory until it is written; cheap, and may raise.
        read: item to what is translated.
        make: translate.
        write: store the result of an item.
    """

    weigh: Callable[[Item], int]
    read: Callable[[Item], Read]
    make: Callable[[Item, Read], Made]
    write: Callable[[Item, Made], None]


@dataclass(frozen=True)
class Done(Generic[Item]):
    """An item that left the pipeline: written, or with the error that stopped it."""

    item: Item
    error: Exception | None = None


class _Room:
    """Lets items in by their order while they fit; one that is larger than all the room goes in alone.

    By order, so that an item that is waited for never waits for room that a later one holds.

    Args:
        size: in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size, self.used, self.next = size, 0, 0
        self.change = threading.Condition()

    def enter(self, number: int, weight: int) -> None:
        with self.change:
            self.change.wait_for(lambda: self.next == number and (not self.used or self.used + weight <= self.size))
            self.used += weight
            self.next += 1
            self.change.notify_all()

    def leave(self, weight: int) -> None:
        with self.change:
            self.used -= weight
            self.change.notify_all()


def flow(
    items: Iterable[Item],
    stages: Stages[Item, Read, Made],
    *,
    threads: int,
    memory: int,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Done[Item]]:
    """Pass items through the stages and yield each as it is done, in order.

    While the network works on one, the next are read and the ones before are written. Pillow and torch give the
    interpreter free while they compute, so threads are enough.

    Args:
        items: what to do.
        stages: how.
        threads: that read, and again as many that write.
        memory: bytes that items between reading and writing may weigh together, see :class:`Stages`.
        stop: asked before every item; once true, what has begun is finished and nothing more is begun.
    """
    room = _Room(memory)
    waiting = enumerate(items)
    reading: deque[tuple[Item, Future[tuple[int, Read | Exception]]]] = deque()
    writing: deque[Future[Done[Item]]] = deque()
    with ThreadPoolExecutor(threads, "read") as readers, ThreadPoolExecutor(threads, "write") as writers:
        while True:
            if not stop():
                for number, item in islice(waiting, 2 * threads - len(reading)):
                    reading.append((item, readers.submit(_read, room, stages, number, item)))
            if not reading:
                break
            item, future = reading.popleft()
            weight, found = future.result()
            made = found if isinstance(found, Exception) else _tried(stages.make, item, found)
            del found
            if isinstance(made, Exception):
                room.leave(weight)
                writing.append(_finished(Done(item, made)))
            else:
                writing.append(writers.submit(_write, room, stages, item, made, weight))
            del made
            while writing and (writing[0].done() or len(writing) > 2 * threads):
                yield writing.popleft().result()
        while writing:
            yield writing.popleft().result()


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
