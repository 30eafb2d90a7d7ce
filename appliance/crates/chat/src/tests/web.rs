//! Accounts, devices and the health probe.

use wire::ids::{DeviceId, Offset, ProvisionId, TokenHash, UserId};
use wire::server::Role;

use super::harness::{Bench, direct, text};
use crate::state::{Change, PasswordHash, SYSTEM_USER};
use crate::{ApiCall, ApiError, ApiReply, Chat, Config, Input, Output, State, Ticket};

fn hash() -> PasswordHash {
    PasswordHash("secret".into())
}

#[test]
fn a_box_is_claimed_once() {
    let mut bench = Bench::new();
    let claim = |byte: u8, name: &str| ApiCall::Claim {
        provision: ProvisionId([byte; 16]),
        name: name.into(),
        password_hash: hash(),
    };
    let cases = [
        (claim(1, " "), Err(ApiError::BadText { field: "name", max: 128 })),
        (claim(1, " Ann "), Ok(ApiReply::UserAdded(UserId(1)))),
        (claim(1, "Bob"), Err(ApiError::ProvisionSpent)),
        (claim(2, "Bob"), Err(ApiError::AlreadyClaimed)),
    ];
    for (call, expected) in cases {
        assert_eq!(bench.call(call), expected);
    }
    assert_eq!(bench.chat.state().user_named("ANN").map(|user| user.role), Some(Role::Owner));
}

#[test]
fn before_an_epoch_nothing_can_be_claimed() {
    let mut chat = Chat::new(State::new(), Config::default());
    let call = ApiCall::Claim {
        provision: ProvisionId([1; 16]),
        name: "Ann".into(),
        password_hash: hash(),
    };
    chat.handle(wire::ids::TimeMs(1), Input::Api { ticket: Ticket(1), call });
    let reply = Err(ApiError::NotReady);
    assert_eq!(chat.poll_output(), Some(Output::ApiDone { ticket: Ticket(1), reply }));
}

#[test]
fn roles_decide_who_adds_whom() {
    let mut bench = Bench::with_users(2);
    let add = |by: u32, name: &str, role| ApiCall::AddUser {
        by: UserId(by),
        name: name.into(),
        role,
        password_hash: hash(),
    };
    let cases = [
        (add(1, "boss", Role::Admin), Ok(ApiReply::UserAdded(UserId(3)))),
        (add(3, "kid", Role::Member), Ok(ApiReply::UserAdded(UserId(4)))),
        (add(3, "aide", Role::Admin), Err(ApiError::NotAllowed)),
        (add(1, "two", Role::Owner), Err(ApiError::NotAllowed)),
        (add(2, "x", Role::Member), Err(ApiError::NotAllowed)),
        (add(u32::MAX, "x", Role::Member), Err(ApiError::NotAllowed)),
        (add(1, "BOSS", Role::Member), Err(ApiError::NameTaken)),
        (add(1, "a\nb", Role::Member), Err(ApiError::BadText { field: "name", max: 128 })),
    ];
    for (call, expected) in cases {
        assert_eq!(bench.call(call), expected);
    }
}

#[test]
fn devices_are_named_limited_and_removed() {
    let mut bench = Bench::with_users(1);
    let add = |user: u32, byte: u8| ApiCall::AddDevice {
        user: UserId(user),
        label: "phone".into(),
        token_hash: TokenHash([byte; 32]),
    };
    assert_eq!(bench.call(add(9, 1)), Err(ApiError::NoSuchUser));
    for byte in 1..64 {
        assert!(bench.call(add(1, byte)).is_ok());
    }
    assert_eq!(
        bench.call(add(1, 200)),
        Err(ApiError::OverLimit { what: "devices a user", max: 64 })
    );
    let who = ApiCall::WhoIs { token_hash: TokenHash([7; 32]) };
    let Ok(ApiReply::Identity(Some(identity))) = bench.call(who.clone()) else { panic!("known") };
    assert_eq!((identity.user, identity.name.as_str()), (UserId(1), "user1"));
    let remove = ApiCall::RemoveDevice { device: identity.device };
    assert_eq!(bench.call(remove.clone()), Ok(ApiReply::Done));
    assert_eq!(bench.call(remove), Err(ApiError::NoSuchDevice));
    assert_eq!(bench.call(who), Ok(ApiReply::Identity(None)));
    assert_eq!(bench.call(add(1, 8)), Err(ApiError::TokenTaken));
    let system = ApiCall::RemoveDevice { device: DeviceId(u32::MAX) };
    assert_eq!(bench.call(system), Err(ApiError::NoSuchDevice));
}

#[test]
fn a_probe_is_durable_hidden_and_leaves_one_message() {
    let mut bench = Bench::with_users(1);
    for nonce in [7, u64::MAX] {
        let reply = bench.call(ApiCall::HealthProbe { nonce });
        let offset = Offset(bench.log.len() as u64);
        assert_eq!(reply, Ok(ApiReply::Healthy { nonce, offset }));
    }
    let Ok(ApiReply::Facts(facts)) = bench.call(ApiCall::Facts) else { panic!("facts") };
    assert_eq!((facts.users, facts.rooms), (1, 0));
    let Ok(ApiReply::Users(users)) = bench.call(ApiCall::ListUsers) else { panic!("users") };
    assert!(users.iter().all(|user| user.user != SYSTEM_USER));
    bench.tick(0);
    bench.tick(crate::limits::CHECKPOINT_MS);
    let messages = bench.store.iter().filter(|change| matches!(change, Change::Message { .. }));
    assert_eq!(messages.count(), 2, "two records, one key");
    let before = bench.chat.state().clone();
    bench.restart();
    assert_eq!(*bench.chat.state(), before);
    assert!(bench.call(ApiCall::HealthProbe { nonce: 1 }).is_ok());
}

#[test]
fn one_join_in_a_large_room_touches_no_other_member() {
    let mut bench = Bench::with_users(300);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, super::harness::group(1, &[], wire::client::History::All));
    bench.tick(0);
    bench.tick(crate::limits::CHECKPOINT_MS);
    for (counter, user) in (2..).zip(2..=299) {
        bench.frame(one, super::harness::add(counter, 1, user));
    }
    bench.tick(crate::limits::CHECKPOINT_MS);
    bench.tick(crate::limits::CHECKPOINT_MS);
    bench.store.clear();
    bench.frame(one, super::harness::add(300, 1, 300));
    bench.tick(crate::limits::CHECKPOINT_MS);
    bench.tick(crate::limits::CHECKPOINT_MS);
    let members = bench.store.iter().filter(|change| matches!(change, Change::Member { .. }));
    assert_eq!(members.count(), 1);
    let bytes: usize = bench
        .store
        .iter()
        .filter(|change| !matches!(change, Change::Device(_)))
        .map(|change| postcard::to_stdvec(change).unwrap().len())
        .sum();
    assert!(bytes < 200, "{bytes} bytes");
}

#[test]
fn secrets_are_not_printed() {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, direct(1, 2));
    bench.frame(one, text(2, 1, "x"));
    let account = bench.chat.state().user(UserId(1)).cloned();
    assert!(!format!("{account:?} {:?}", hash()).contains("hash\""));
    assert!(!format!("{:?}", hash()).contains("argon"));
}
