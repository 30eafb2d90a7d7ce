//! The line of JSON that ends a run.

use log::SlowSpeed;
use serde_json::{Map, Value, json};

use super::experiment::Finding;
use super::loads::Measure;
use super::target::{Door, Target};
use crate::floor::Mode;

/// All figures as one line; null for what was not measured.
pub(super) fn line(findings: &[Finding]) -> String {
    let median = |name, target, measure| median(findings, name, target, measure);
    let ratio = |name, floor, measure| {
        let ours = median(name, Target::LINNET, measure)?;
        Some(ours / median(name, Target::Floor(floor), measure)?)
    };
    let rings = |count| median("rings", Target::linnet_on(count), Measure::BusiestRing);
    let idle = |door| median("idle", Target::linnet_by(door), Measure::BytesPerSession);
    let only = |name, measure| {
        let finding = findings.iter().find(|finding| finding.name == name)?;
        Some(finding.spread(measure)?.median)
    };
    let sync_p99_us = SlowSpeed::default().long_sync.as_secs_f64() * 1e6;
    let (cpu, loaded) = (Measure::CpuPerDelivery, Mode::UringBroadcast);
    let figures = [
        ("fanout_cpu_ratio_to_ring_floor", ratio("fanout", Mode::UringBroadcast, cpu)),
        ("loaded_cpu_ratio", ratio("loaded", loaded, cpu)),
        ("pair_cpu_ratio", ratio("pairs", Mode::UringPairs, Measure::CpuPerMessage)),
        ("idle_plain_bytes", idle(Door::Plain)),
        ("idle_tls_bytes", idle(Door::Wss)),
        ("durable_msgs_per_s", only("durable", Measure::AcksPerSecond)),
        ("durable_msgs_per_s_slow_disk", only("durable-slow", Measure::AcksPerSecond)),
        ("lone_message_bytes", only("lone", Measure::DeviceBytes)),
        // One sync in a hundred is a long one, so this is the slow card's own 99th percentile.
        ("ack_p99_ratio", only("ack-slow", Measure::AckP99).map(|p99| p99 / sync_p99_us)),
        ("two_ring_thread_ratio", rings(2).zip(rings(1)).map(|(two, one)| two / one)),
    ];
    let object: Map<String, Value> =
        figures.into_iter().map(|(key, value)| (key.to_owned(), rounded(value))).collect();
    Value::Object(object).to_string()
}

/// Four digits say all that a run knows.
fn rounded(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.abs() >= 100.0 => json!(value.round()),
        Some(value) => json!((value * 1_000.0).round() / 1_000.0),
        None => Value::Null,
    }
}

/// The median at the last point of a table, the largest one.
fn median(findings: &[Finding], name: &str, target: Target, measure: Measure) -> Option<f64> {
    let is_it = |finding: &&Finding| finding.name == name && finding.target == target;
    Some(findings.iter().rev().find(is_it)?.spread(measure)?.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_even_when_nothing_was_measured() {
        let line: Value = serde_json::from_str(&line(&[])).unwrap();
        let object = line.as_object().unwrap();
        assert_eq!(object.len(), 10);
        assert!(object.values().all(Value::is_null));
        assert!(object.contains_key("two_ring_thread_ratio"));
    }

    #[test]
    fn figures_are_rounded() {
        assert_eq!(rounded(Some(1.234_56)), json!(1.235));
        assert_eq!(rounded(Some(60_123.4)), json!(60_123.0));
        assert_eq!(rounded(None), Value::Null);
    }
}
