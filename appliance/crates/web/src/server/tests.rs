//! The whole server over real sockets: a rustls client that trusts only the box's CA, and a core
//! kept in memory.

mod appliance;
mod claiming;
mod fake;
mod refusals;
mod rest;
mod sessions;
mod support;

#[test]
fn an_ipv6_host_gets_no_more_places_by_changing_its_address() {
    let places = super::Places::new();
    let take = |text: &str| places.take(None, text.parse().unwrap());
    let held: Vec<_> = (0..crate::limits::CONNECTIONS_PER_ADDRESS_MAX)
        .map(|host| take(&format!("fd00::{host:x}")).expect("below the share"))
        .collect();
    assert!(take("fd00::ffff").is_none());
    assert!(take("fd00:0:0:1::1").is_some());
    drop(held);
    assert!(take("fd00::ffff").is_some());
}
