//! Latencies in an HDR histogram that travels between processes as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as Reader, Serializer as _, V2Serializer};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{LATENCY_DIGITS, LATENCY_NS_MAX};

/// Latencies in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LATENCY_NS_MAX, LATENCY_DIGITS);
        Self(histogram.expect("the bounds are sound"))
    }
}

impl Latency {
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// The figures people ask for; none without a record.
    pub(crate) fn figures(&self) -> Option<Figures> {
        let at = |quantile| microseconds(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Figures {
            count: self.0.len(),
            mean: self.0.mean() / 1_000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: microseconds(self.0.max()),
        })
    }
}

/// A distribution in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How many were recorded.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// One in ten is slower.
    pub p90: f64,
    /// One in a hundred is slower.
    pub p99: f64,
    /// One in a thousand is slower.
    pub p999: f64,
    /// Slowest.
    pub max: f64,
}

#[allow(clippy::cast_precision_loss, reason = "an hour in nanoseconds is below 2^53")]
const fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1_000.0
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        let written = V2Serializer::new().serialize(&self.0, &mut bytes);
        written.map_err(|error| serde::ser::Error::custom(format!("{error:?}")))?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let histogram = Reader::new().deserialize(&mut bytes.as_slice());
        histogram.map(Self).map_err(|error| D::Error::custom(format!("{error:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Latency {
        let mut latency = Latency::default();
        values.iter().for_each(|value| latency.record(*value));
        latency
    }

    #[test]
    fn halves_that_travelled_as_text_merge_into_the_whole() {
        let (first, second) = (of(&[1_000, 2_000, 70_000]), of(&[5, 9_000_000]));
        let mut merged = Latency::default();
        for half in [first, second] {
            let text = serde_json::to_string(&half).unwrap();
            let back: Latency = serde_json::from_str(&text).unwrap();
            assert_eq!(back, half);
            merged.merge(&back);
        }
        assert_eq!(merged, of(&[1_000, 2_000, 70_000, 5, 9_000_000]));
    }

    #[test]
    fn figures_are_microseconds_to_three_digits() {
        let values: Vec<u64> = (1..=1_000).map(|value| value * 1_000).collect();
        let figures = of(&values).figures().unwrap();
        assert_eq!(figures.count, 1_000);
        let near = |value: f64, wanted: f64| (value - wanted).abs() / wanted < 0.002;
        assert!(near(figures.p50, 500.0) && near(figures.p99, 990.0), "{figures:?}");
        assert!(near(figures.mean, 500.5) && near(figures.max, 1_000.0), "{figures:?}");
        assert_eq!(of(&[]).figures(), None);
    }

    #[test]
    fn what_is_slower_than_an_hour_counts_as_an_hour() {
        let figures = of(&[u64::MAX]).figures().unwrap();
        assert!(figures.max > 3.59e9, "{figures:?}");
    }
}
