"""The limiter agrees with a naive one, and cannot be made to forget what matters."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.rate_limiter import RateLimit, RateLimiter


class LeakyBucket:
    """The naive model: a bucket that leaks `count` per window, in exact fractions."""

    def __init__(self, count: int, seconds: int) -> None:
        self.count, self.rate = count, Fraction(count, seconds)
        self.level, self.at = Fraction(0), Fraction(0)

    def level_at(self, now: Fraction) -> Fraction:
        return max(Fraction(0), self.level - (now - self.at) * self.rate)

    def hit(self, now: Fraction) -> bool:
        level = self.level_at(now)
        if level + 1 > self.count:
            return False
        self.level, self.at = level + 1, now
        return True


@settings(deadline=None)
@given(
    count=st.integers(1, 20),
    seconds=st.integers(1, 90),
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 8_000)), max_size=120),
)
def test_it_agrees_with_a_leaking_bucket(count: int, seconds: int, steps: list[tuple[str, int]]) -> None:
    limiter = RateLimiter(RateLimit(count, seconds), max_keys=10)
    naive = {"a": LeakyBucket(count, seconds), "b": LeakyBucket(count, seconds)}
    milliseconds = 0
    for key, pause in steps:
        milliseconds += pause
        now, exact = milliseconds / 1_000, Fraction(milliseconds, 1_000)
        verdict = limiter.hit(key, now)
        bucket = naive[key]
        assert verdict.allowed == bucket.hit(exact)
        level = bucket.level_at(exact)
        assert verdict.remaining == int(bucket.count - level)
        assert verdict.reset_after == pytest.approx(float(level / bucket.rate))
        wait = max(Fraction(0), (level + 1 - bucket.count) / bucket.rate)
        assert verdict.retry_after == pytest.approx(0.0 if verdict.allowed else float(wait))


def test_a_hundred_a_minute_has_a_burst_of_a_hundred() -> None:
    limiter = RateLimiter(RateLimit(100, 60.0), max_keys=10)
    assert [limiter.hit("u", 0.0).remaining for _ in range(100)] == list(range(99, -1, -1))
    refused = limiter.hit("u", 0.0)
    assert not refused.allowed
    assert refused.retry_after == pytest.approx(0.6)
    assert not limiter.hit("u", 0.599).allowed
    assert limiter.hit("u", 0.6).allowed


def test_a_peek_takes_nothing() -> None:
    limiter = RateLimiter(RateLimit(2, 60.0), max_keys=10)
    assert [limiter.peek("u", 0.0).remaining for _ in range(3)] == [2, 2, 2]
    assert len(limiter) == 0


def test_no_limit_lets_everything_pass_and_keeps_nothing() -> None:
    limiter = RateLimiter(None, max_keys=1)
    assert all(limiter.hit(str(n), 0.0).allowed for n in range(1_000))
    limiter.sweep(1.0)
    assert limiter.peek("u", 0.0).allowed
    assert len(limiter) == 0


def test_full_buckets_are_swept_and_spent_ones_stay() -> None:
    limiter = RateLimiter(RateLimit(10, 10.0), max_keys=10)
    limiter.hit("light", 0.0)
    for _ in range(10):
        limiter.hit("heavy", 0.0)
    limiter.sweep(2.0)
    assert len(limiter) == 1
    assert not limiter.hit("heavy", 0.5).allowed
    limiter.sweep(10.0)
    assert len(limiter) == 0


def test_keys_that_came_once_leave_as_others_come_without_a_sweep() -> None:
    limiter = RateLimiter(RateLimit(2, 3.0), max_keys=10_000)
    for n in range(1_000):
        limiter.hit(f"once {n}", 0.0)
    for n in range(500):
        limiter.hit("often", 10.0 + n)
    assert len(limiter) == 1
    for n in range(1_000):
        limiter.hit(f"new {n}", 1_000.0 + n)
        assert len(limiter) <= 4


def test_making_up_keys_does_not_wash_a_spent_bucket_clean() -> None:
    limiter = RateLimiter(RateLimit(10, 60.0), max_keys=50)
    for _ in range(10):
        limiter.hit("spent", 0.0)
    for n in range(5_000):
        limiter.hit(f"made up {n}", 0.001)
    assert len(limiter) == 50
    assert not limiter.hit("spent", 0.002).allowed


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3_000), st.booleans()), max_size=200))
def test_memory_stays_bounded(steps: list[tuple[int, int, bool]]) -> None:
    limiter = RateLimiter(RateLimit(3, 5.0), max_keys=4)
    now = 0
    for key, pause, sweep in steps:
        now += pause
        limiter.hit(str(key), now / 1_000)
        if sweep:
            limiter.sweep(now / 1_000)
        assert len(limiter) <= 4


def test_limits_are_read_from_text() -> None:
    assert RateLimit.parse("100/minute") == RateLimit(100, 60.0)
    assert RateLimit.parse("5/second") == RateLimit(5, 1.0)
    assert RateLimit.parse("2/hour") == RateLimit(2, 3_600.0)
    assert RateLimit.parse("1/day") == RateLimit(1, 86_400.0)
    assert RateLimit.parse("0") is None


@pytest.mark.parametrize("text", ["", "100", "-1/minute", "1/fortnight", "1.5/second", "1/minute ", "٣/minute", "/day"])
def test_other_texts_are_no_limits(text: str) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        RateLimit.parse(text)


def test_a_limit_needs_positive_numbers() -> None:
    with pytest.raises(ValueError, match="positive"):
        RateLimit(0, 60.0)
    with pytest.raises(ValueError, match="positive"):
        RateLimit(1, 0.0)
    with pytest.raises(ValueError, match="max_keys"):
        RateLimiter(None, max_keys=0)
