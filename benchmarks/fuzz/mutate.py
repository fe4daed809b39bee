"""Message bodies for the fuzzer: valid bodies in every envelope, mutated at one to four points, and random noise.

There are two kinds of mutations: of the structure (a field is removed, duplicated, nested or gets a problematic
value) and of the text (cut, replaced, repeated, spliced). The same seed gives the same bodies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from benchmarks.fuzz.values import KEYS, NAMES, NUMBERS, SENDERS, SEQUENCERS, TEXTS, TIMES, interesting
from testkit.workload import notifications

Container: TypeAlias = "dict[str, Any] | list[Any]"

_VALID_SHARE = 0.3
_NOISE_SHARE = 0.03
_TEXT_SHARE = 0.2
_MAX_RECORDS = 4
_DETAIL_TYPES = ("Object Created", "Object Created", "Object Deleted", "Object Tags Added", "Object Painted", "")
_REASONS = ("PutObject", "CopyObject", "DeleteObject", "Lifecycle Expiration", "RenameObject", "")
_DELETIONS = ("Permanently Deleted", "Delete Marker Created", "Shredded", "")
_LETTERS = '{}[]",:\\u0dc8e1-+ \t\n\x00\x1f%FfA/é\ud800\U0001f701'


class Mutator:
    """An endless source of bodies.

    Args:
        seed: determines all bodies.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._previous = "{}"
        self._shapes: tuple[Callable[[], Any], ...] = (
            *[self._native] * 6,
            *[self._bridged] * 3,
            *[lambda: self._wrapped(self._native())] * 2,
            lambda: self._wrapped(self._bridged()),
            self._other,
        )

    def body(self) -> str:
        """The next body."""
        random = self._random
        if random.random() < _NOISE_SHARE:
            return self._noise()
        value = random.choice(self._shapes)()
        if random.random() > _VALID_SHARE:
            for _ in range(random.choice((1, 1, 1, 2, 4))):
                self._mutate(value)
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)
        if random.random() < _TEXT_SHARE:
            text = self._damaged(text)
        self._previous = text
        return text

    def _native(self) -> dict[str, Any]:
        return {"Records": [self._record() for _ in range(self._random.choice((1, 1, 1, 1, 2, _MAX_RECORDS, 0)))]}

    def _record(self) -> dict[str, Any]:
        choose = self._random.choice
        described = {
            "key": self._key(),
            "size": choose(NUMBERS[:6] * 4 + NUMBERS),
            "eTag": choose(("abc", '"abc-2"', "", "d41d8cd98f00b204e9800998ecf8427e")),
            "versionId": choose(("null", "v1", "096fKKXTRTtl3on89fVO.nfljtsv6qko", None)),
            "sequencer": choose(SEQUENCERS),
        }
        return {
            "eventVersion": choose(("2.1", "2.6", "2.0")),
            "eventSource": choose(SENDERS),
            "eventTime": choose(TIMES[:7]),
            "eventName": choose(NAMES),
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": self._bucket(), "ownerIdentity": {"principalId": "A1"}},
                "object": self._thinned(described),
            },
        }

    def _bucket(self) -> str:
        random = self._random
        return random.choice(TEXTS) if random.random() < 0.03 else random.choice(("lake", "lake-two", "it's"))

    def _key(self) -> str:
        # One of few keys, so that events are about the same row; or one of many, so that rows are new.
        random = self._random
        return random.choice(KEYS) if random.random() < 0.3 else f"{random.choice(KEYS[:5])}{random.randrange(100_000)}"

    def _bridged(self) -> dict[str, Any]:
        choose = self._random.choice
        described = {
            "key": self._key(),
            "size": choose(NUMBERS[:6] * 4 + NUMBERS),
            "etag": choose(("abc", "", "d41d8cd98f00b204e9800998ecf8427e")),
            "version-id": choose(("null", "v1", None)),
            "sequencer": choose(SEQUENCERS),
        }
        detail = {
            "version": "0",
            "bucket": {"name": self._bucket()},
            "object": self._thinned(described),
            "reason": choose(_REASONS),
            "deletion-type": choose(_DELETIONS),
        }
        return {
            "source": choose(("aws.s3", "aws.s3", "aws.s3", "aws.ec2")),
            "detail-type": choose(_DETAIL_TYPES),
            "time": choose(TIMES[:7]),
            "detail": self._thinned(detail),
        }

    def _thinned(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields without some of them; one in ten has a problematic text."""
        random = self._random
        if random.random() < 0.1:
            fields |= {random.choice(list(fields)): random.choice(TEXTS)}
        return {name: value for name, value in fields.items() if name == "key" or random.random() > 0.1}

    def _wrapped(self, inner: Any) -> dict[str, Any]:
        if self._random.random() < 0.5:
            self._mutate(inner)
        text = json.dumps(inner)
        if self._random.random() < 0.1:
            text = self._damaged(text)
        wrapped: dict[str, Any] = json.loads(notifications.sns_body("@"))
        wrapped["Message"] = text
        return self._wrapped(wrapped) if self._random.random() < 0.05 else wrapped

    def _other(self) -> Any:
        choose = self._random.choice
        return choose(
            (
                {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "lake"},
                {"Type": "SubscriptionConfirmation", "SubscribeURL": "http://127.0.0.1:9/", "Message": "x"},
                {"Records": [interesting(self._random) for _ in range(3)]},
                {"Records": interesting(self._random)},
                [interesting(self._random)],
                {"Type": "Notification", "Message": interesting(self._random)},
            )
        )

    def _mutate(self, value: Any) -> None:
        """Mutate one random element of an object or list within `value`."""
        holder = self._some_container(value)
        if not holder:
            return
        random = self._random
        position: Any = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
        match random.randrange(6):
            case 0:
                del holder[position]
            case 1 | 2:
                holder[position] = interesting(random)
            case 3:
                holder[position] = random.choice(TEXTS)
            case 4:
                holder[position] = self._nested(holder[position])
            case _ if isinstance(holder, dict):
                holder[random.choice((str(position).upper(), f"{position} ", "Records", "detail", "Type"))] = holder[
                    position
                ]
            case _:
                holder.append(holder[position])

    def _some_container(self, value: Any) -> Any:
        """A random object or list within `value`."""
        random, likely = self._random, 0.05  # a change of the outermost object rejects the whole body, so it is rare
        while isinstance(value, dict | list):
            inner = [
                each for each in (value.values() if isinstance(value, dict) else value) if isinstance(each, dict | list)
            ]
            if not inner or random.random() < likely:
                return value
            value, likely = random.choice(inner), 0.25
        return None

    def _nested(self, value: Any) -> Any:
        for _ in range(self._random.choice((1, 3, 40))):
            value = [value] if self._random.random() < 0.5 else {"x": value}
        return value

    def _damaged(self, text: str) -> str:
        random = self._random
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((1, 1, 4, 40)))
        inserted = random.choice(_LETTERS)
        old = random.choice(("1", "null", '"', "{", '": "'))
        new = random.choice(("1e5", "{", "[[", "-0", "", '": 1', '": "%FF', '": "\\u0000', '": "\\ud83c'))
        return random.choice(
            (
                text[:start],
                text[:start] + text[end:],
                text[:end] + text[start:],
                text[:start] + inserted + text[end:],
                text[:start] + self._previous[start:],
                text.replace(old, new, 1),
            )
        )

    def _noise(self) -> str:
        return "".join(self._random.choices(_LETTERS, k=self._random.choice((0, 1, 7, 60))))
