"""The whole corpus."""

from __future__ import annotations

import functools

from tests.corpus.case import Case
from tests.corpus.envelopes import envelopes
from tests.corpus.fields import fields
from tests.corpus.large import large
from tests.corpus.senders import senders
from tests.corpus.texts import texts


@functools.cache
def corpus() -> tuple[Case, ...]:
    """Every case; built at the first call, because some are a megabyte long."""
    return (*texts(), *envelopes(), *fields(), *senders(), *large())
