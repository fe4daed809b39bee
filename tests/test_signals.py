"""Arrivals: ages that are reported once, silence that is reset, and what shows an empty queue."""

from __future__ import annotations

from subscriber.signals import Arrivals, send_times_that_show_lag


def test_the_youngest_age_is_returned_once() -> None:
    """The smallest of all answers since the last call; without a new answer there is none."""
    arrivals = Arrivals()
    for age in (7.0, 3.0, None, 5.0):
        arrivals.record_answer(1, age, 0)
    assert arrivals.pop_min_age() == 3
    assert arrivals.pop_min_age() is None


def test_silence_lasts_from_the_first_empty_answer() -> None:
    """Until a message arrives."""
    arrivals = Arrivals()
    assert arrivals.silent_seconds(100) == 0
    for now in (100, 120, 140):
        arrivals.record_answer(0, None, now)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(150)) == (3, 50)
    arrivals.record_answer(1, None, 150)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(160)) == (0, 0)


def test_a_silence_that_was_reset_begins_anew() -> None:
    """With the next empty answer."""
    arrivals = Arrivals()
    arrivals.record_answer(0, None, 100)
    arrivals.reset_silence()
    assert arrivals.silent_seconds(200) == 0
    arrivals.record_answer(0, None, 200)
    assert (arrivals.empty_in_a_row, arrivals.silent_seconds(210)) == (1, 10)


def test_a_first_receive_shows_lag_and_a_later_one_only_in_a_full_answer() -> None:
    """A backlog that another consumer left is late; a message that comes back alone is late for its own reason."""
    assert send_times_that_show_lag([5.0, 3.0], [5.0, 3.0, 1.0], is_full=False) == (3, 5)
    assert send_times_that_show_lag([5.0], [5.0] + [1.0] * 9, is_full=True) == (5, 5)
    assert send_times_that_show_lag([], [1.0, 2.0], is_full=False) is None
    assert send_times_that_show_lag([], [*[1.0] * 9, 2.0], is_full=True) == (2, 2)
    assert send_times_that_show_lag([], [], is_full=False) is None


def test_an_open_poll_or_an_empty_answer_shows_an_empty_queue() -> None:
    """Half a second of an open poll does, unless the poll before failed; so does an empty answer, for two seconds."""
    arrivals = Arrivals()
    assert not arrivals.is_quiet(100)
    arrivals.begin_poll(100)
    assert (arrivals.is_asked, arrivals.is_quiet(100.4), arrivals.is_quiet(100.5)) == (True, False, True)
    arrivals.end_poll(has_failed=False)
    arrivals.record_answer(10, 40.0, 101, is_full=True)
    arrivals.begin_poll(101)
    assert (arrivals.is_quiet(101.4), arrivals.is_quiet(102)) == (False, True)
    arrivals.end_poll(has_failed=False)
    arrivals.record_answer(0, None, 121)
    assert (arrivals.is_asked, arrivals.is_quiet(122.9), arrivals.is_quiet(123)) == (False, True, False)
    arrivals.begin_poll(123)
    arrivals.end_poll(has_failed=True)
    arrivals.begin_poll(124)
    assert (arrivals.is_asked, arrivals.is_quiet(140)) == (False, False)


def test_of_several_polls_the_newest_message_counts() -> None:
    """A poll that has waited for long shows nothing while another one brings messages."""
    arrivals = Arrivals()
    arrivals.begin_poll(100)
    arrivals.begin_poll(100)
    arrivals.end_poll(has_failed=False)
    arrivals.record_answer(10, 40.0, 110, is_full=True)
    assert (arrivals.open_polls, arrivals.is_quiet(110.2), arrivals.is_quiet(110.6)) == (1, False, True)
