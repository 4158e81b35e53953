// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time to pixels, and the round times between.

use crate::report::milliseconds;

/// Most ticks of an axis.
const MOST_TICKS: u64 = 9;

/// A span of time across a span of pixels.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    start_us: u64,
    end_us: u64,
    left: f64,
    right: f64,
}

impl Axis {
    /// From `start_us` at `left` to `end_us` at `right`; no span of time is shorter than a microsecond.
    pub fn new(start_us: u64, end_us: u64, left: f64, right: f64) -> Self {
        Self { start_us, end_us: end_us.max(start_us.saturating_add(1)), left, right }
    }

    /// Where a time lies; what is outside, at the nearer end.
    pub fn x(&self, us: u64) -> f64 {
        let span = self.end_us.saturating_sub(self.start_us);
        let since = us.saturating_sub(self.start_us).min(span);
        self.left + (self.right - self.left) * as_f64(since) / as_f64(span)
    }

    /// Times in equal steps of 1, 2 or 5 times a power of ten, with their labels; counted from zero, not from the start.
    pub fn ticks(&self) -> Vec<(u64, String)> {
        let step = self.step();
        let first = self.start_us.div_ceil(step).saturating_mul(step);
        let mut ticks = Vec::new();
        let mut at = first;
        while at <= self.end_us {
            let text = if step < 1000 { milliseconds(at) } else { format!("{} ms", at / 1000) };
            ticks.push((at, text));
            at = match at.checked_add(step) {
                Some(next) => next,
                None => break,
            };
        }
        ticks
    }

    fn step(&self) -> u64 {
        let span = self.end_us.saturating_sub(self.start_us);
        let mut decade: u64 = 100;
        loop {
            for factor in [1, 2, 5] {
                let step = decade.saturating_mul(factor);
                if span.checked_div(step).is_some_and(|steps| steps < MOST_TICKS) {
                    return step;
                }
            }
            decade = decade.saturating_mul(10);
        }
    }
}

/// For positions in a picture, where the 53 bits of a float are more than enough.
#[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
fn as_f64(us: u64) -> f64 {
    us as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let labels = |start, end| {
            let ticks = Axis::new(start, end, 0.0, 100.0).ticks();
            ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(42_316, 47_100), "43 ms 44 ms 45 ms 46 ms 47 ms");
        assert_eq!(labels(402_400, 553_800), "420 ms 440 ms 460 ms 480 ms 500 ms 520 ms 540 ms");
        assert_eq!(labels(0, 400), "0.0 ms 0.1 ms 0.2 ms 0.3 ms 0.4 ms");
        for end in [0, 1, 99, 12_345, 9_999_999, u64::MAX] {
            let count = Axis::new(0, end, 0.0, 100.0).ticks().len();
            assert!((1..=10).contains(&count), "{count} ticks to {end}");
        }
    }

    #[test]
    fn times_outside_lie_at_the_ends() {
        let axis = Axis::new(100, 200, 10.0, 20.0);
        assert_eq!([0, 100, 150, 200, 300].map(|us| axis.x(us).to_string()), ["10", "10", "15", "20", "20"]);
        let point = Axis::new(7, 7, 10.0, 20.0);
        assert_eq!(point.x(7).to_string(), "10");
    }
}
