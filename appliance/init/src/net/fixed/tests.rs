//! The address's way on an imaginary cable.

use proptest::prelude::*;

use super::*;

const BOX: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn fixed(router: Option<Ipv4Addr>) -> Fixed {
    let wish = FixedAddress { address: OURS, prefix: 24, router, name_servers: vec![ROUTER] };
    let mut fixed = Fixed::new(wish, BOX);
    fixed.restart(0);
    fixed
}

fn arp(operation: ArpOperation, from: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(OTHER),
        source_protocol_addr: from,
        target_hardware_addr: EthernetAddress(BOX),
        target_protocol_addr: target,
    };
    frame(EthernetAddress(OTHER), EthernetAddress(BOX), &repr)
}

/// Runs the clock until the address is used; returns when, and how many probes went out.
fn until_used(fixed: &mut Fixed) -> (u64, u32) {
    let mut probes = 0;
    for now in (0..20_000).step_by(100) {
        match fixed.on_tick(now) {
            Some(Act::Send(_)) => probes += 1,
            Some(Act::Use(lease)) => {
                assert_eq!((lease.address, lease.prefix), (OURS, 24));
                return (now, probes);
            }
            Some(Act::Fail(failure)) => panic!("{failure:?}"),
            None => {}
        }
    }
    panic!("never used");
}

#[test]
fn free_address_is_used_after_three_probes_and_its_router_confirms_it() {
    let mut fixed = fixed(Some(ROUTER));
    assert_eq!(until_used(&mut fixed), (3_000, ARP_PROBES));
    let Some(Act::Send(ask)) = fixed.on_tick(3_000) else { panic!("the router is asked for") };
    assert_eq!(read(&ask), Some((EthernetAddress(BOX), OURS, ROUTER)));
    assert_eq!(fixed.on_frame(&arp(ArpOperation::Reply, ROUTER, OURS)), None);
    assert!(!fixed.listens());
    assert_eq!(fixed.on_tick(u64::MAX), None);
}

#[test]
fn address_that_somebody_has_or_wants_is_not_used() {
    let unset = Ipv4Addr::UNSPECIFIED;
    for frame in [
        arp(ArpOperation::Reply, OURS, unset),
        arp(ArpOperation::Request, OURS, ROUTER),
        arp(ArpOperation::Request, unset, OURS),
    ] {
        let mut fixed = fixed(None);
        assert!(matches!(fixed.on_tick(0), Some(Act::Send(_))));
        assert_eq!(fixed.on_frame(&arp(ArpOperation::Reply, ROUTER, unset)), None);
        assert_eq!(fixed.on_frame(&frame), Some(Act::Fail(Failure::Taken)));
        assert_eq!(fixed.failure(), Some(Failure::Taken));
        assert_eq!(fixed.on_tick(u64::MAX), None);
        fixed.restart(5);
        assert!(fixed.listens(), "another cable, another look");
    }
}

#[test]
fn own_probe_that_comes_back_is_no_conflict() {
    let mut fixed = fixed(None);
    let Some(Act::Send(probe)) = fixed.on_tick(0) else { panic!("a probe comes first") };
    assert_eq!(fixed.on_frame(&probe), None);
    assert_eq!(until_used(&mut fixed).0, 3_000);
    assert!(!fixed.listens(), "without a router there is nothing to wait for");
}

#[test]
fn silent_router_leads_to_dhcp() {
    let mut fixed = fixed(Some(ROUTER));
    until_used(&mut fixed);
    let acts = (3_000..60_000).step_by(100).filter_map(|now| fixed.on_tick(now));
    let acts: Vec<_> = acts.collect();
    assert_eq!(acts.last(), Some(&Act::Fail(Failure::Unreachable)));
    assert_eq!(acts.len(), ROUTER_ASKS as usize + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn frames_of_anybody_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        at in 0usize..42,
        value in any::<u8>(),
    ) {
        let mut fixed = fixed(Some(ROUTER));
        fixed.on_frame(&bytes);
        let mut mutated = arp(ArpOperation::Reply, ROUTER, OURS);
        mutated[at] = value;
        fixed.on_frame(&mutated);
        mutated.truncate(at);
        fixed.on_frame(&mutated);
    }
}
