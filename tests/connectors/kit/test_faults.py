"""The registry of faults: what users may write, and chances that can be repeated."""

from __future__ import annotations

import pytest

from connectors.kit.faults import FAULTS, FaultDice, FaultError, chosen, journeys, parse


def test_a_vice_is_one_word_with_a_line_about_it() -> None:
    for name, kind in FAULTS.items():
        assert name.isalpha()
        assert name.islower()
        assert kind.about
        assert 0 < kind.chance <= 1
        assert not kind.steady or kind.chance == 1.0


@pytest.mark.parametrize(
    ("text", "chances"),
    [
        ("none", {}),
        ("lost", {"lost": 0.02}),
        (" lost : 0.5".replace(" : ", ":"), {"lost": 0.5}),
        ("lost,lost:0", {}),
        ("lost, down:1", {"lost": 0.02, "down": 1.0}),
        ("down,none,lag", {"lag": 1.0}),
        ("lag:1", {"lag": 1.0}),
    ],
)
def test_valid_faults_are_accepted(text: str, chances: dict[str, float]) -> None:
    assert parse(text) == chances


def test_all_can_be_thinned_out_and_turned_up() -> None:
    assert set(parse("all")) == set(FAULTS)
    assert set(FAULTS) - set(parse("all,skew:0,refused:0")) == {"skew", "refused"}
    louder = parse("all:0.5")
    assert louder["lost"] == 0.5
    assert louder["lag"] == 1.0
    assert parse("all:0") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("los", "there is no fault 'los'; did you mean lost?"),
        ("qwertz", "there is no fault 'qwertz'; known are throttled, "),
        ("", "a fault is missing in ''"),
        ("lost,,down", "a fault is missing in 'lost,,down'"),
        ("lost:often", "'lost:often': a chance is a figure from 0 to 1"),
        ("lost:1.5", "a chance is a figure from 0 to 1"),
        ("lost:nan", "a chance is a figure from 0 to 1"),
        ("lag:0.5", "lag is on or off and has no chance; write lag, or lag:0"),
    ],
)
def test_invalid_faults_are_refused(text: str, message: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_chances_may_be_given_as_they_are() -> None:
    assert chosen({"lost": 0.3, "down": 0.0}) == {"lost": 0.3}
    with pytest.raises(FaultError, match="no fault"):
        chosen({"los": 0.3})


def test_chances_repeat_by_seed() -> None:
    """Chances repeat by seed, and one fault does not change those of another."""

    def story(seed: int, **chances: float) -> list[bool]:
        dice = FaultDice(chances, seed)
        return [(dice.strikes("down"), dice.strikes("lost"))[1] for _ in range(200)]

    assert story(1, lost=0.3) == story(1, lost=0.3) == story(1, lost=0.3, down=0.9)
    assert story(1, lost=0.3) != story(2, lost=0.3)
    assert 30 < sum(story(1, lost=0.3)) < 90
    assert sum(story(1)) == 0


def test_journeys_of_webhooks() -> None:
    def shares(text: str) -> list[tuple[float, ...]]:
        dice = FaultDice(parse(text), 3)
        return [journeys(dice.chances, dice.roll) for _ in range(200)]

    assert set(shares("none")) == {(0.0,)}
    lost = [one for one in shares("dropped:0.5") if one == ()]
    assert 60 < len(lost) < 140
    assert {len(one) for one in shares("duplicated:0.5")} == {1, 2}
    assert len({one for one in shares("delayed:1")}) == 200
    late = [wait for (wait,) in shares("reordered:1")]
    assert late != sorted(late)
