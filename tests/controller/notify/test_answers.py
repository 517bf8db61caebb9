"""Secrets that answer one knock: single use, a minute, and nothing else."""

from __future__ import annotations

import secrets

import pytest

from controller.notify.answers import VALID_S, Answers


def test_a_secret_answers_its_place_once() -> None:
    answers = Answers()
    secret = answers.issue("hatch", 0.0)
    assert answers.redeem(secret, 1.0) == "hatch"
    assert answers.redeem(secret, 1.1) is None


@pytest.mark.parametrize(("at_s", "place"), [(VALID_S - 0.1, "door"), (VALID_S, None)])
def test_it_is_valid_for_a_minute(at_s: float, place: str | None) -> None:
    answers = Answers()
    assert answers.redeem(answers.issue("door", 0.0), at_s) == place


def test_a_later_message_makes_the_earlier_secret_void() -> None:
    answers = Answers()
    first, second = answers.issue("hatch", 0.0), answers.issue("hatch", 1.0)
    assert answers.redeem(first, 2.0) is None
    assert answers.redeem(second, 2.0) == "hatch"


def test_each_place_has_its_own() -> None:
    answers = Answers()
    hatch, door = answers.issue("hatch", 0.0), answers.issue("door", 0.0)
    answers.revoke("hatch")
    assert answers.redeem(hatch, 1.0) is None
    assert answers.redeem(door, 1.0) == "door"


def test_who_is_answered_by_other_means_has_no_secret_left() -> None:
    answers = Answers()
    secret = answers.issue("hatch", 0.0)
    answers.revoke("hatch")
    assert answers.redeem(secret, 1.0) is None


def test_guesses_find_nothing_and_lock_nobody_out() -> None:
    answers = Answers()
    secret = answers.issue("hatch", 0.0)
    near = [secret[:-1], secret + "A", secret.swapcase(), "", secret[::-1], f" {secret}", "\udc80"]
    guesses = [guess for guess in near if guess != secret]
    guesses += [secrets.token_urlsafe(16) for _ in range(20_000)]
    assert {answers.redeem(guess, 1.0) for guess in guesses} == {None}
    assert answers.redeem(secret, 2.0) == "hatch"


def test_a_secret_has_128_bits_and_no_two_are_the_same() -> None:
    answers = Answers()
    issued = {answers.issue("hatch", 0.0) for _ in range(1000)}
    assert len(issued) == 1000
    assert {len(secret) for secret in issued} == {22}  # of 64 letters each
