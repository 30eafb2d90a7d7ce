//! A core in memory.

use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::mpsc;
use wire::ids::{BoxId, DeviceId, Epoch, ProvisionId, TokenHash, UserId};
use wire::server::Role;

use crate::app::lock;
use crate::core::{
    Account, Answer, ApplianceReport, Backup, Caller, Card, Core, CoreError, Credentials,
    DeviceEntry, Facts, Figures, HealthItem, HealthReport, Order,
};

#[derive(Default)]
pub(super) struct FakeCore(Mutex<State>);

#[derive(Default)]
struct State {
    users: Vec<(Account, String)>,
    devices: Vec<(DeviceId, UserId, String, TokenHash)>,
    claims: u32,
    orders: Vec<Order>,
}

fn now<T: Send + 'static>(result: Result<T, CoreError>) -> Answer<T> {
    Box::pin(std::future::ready(result))
}

impl FakeCore {
    pub(super) fn claims(&self) -> u32 {
        lock(&self.0).claims
    }

    pub(super) fn orders(&self) -> Vec<Order> {
        lock(&self.0).orders.clone()
    }
}

impl State {
    fn add(&mut self, name: String, role: Role, hash: String) -> Result<UserId, CoreError> {
        if self.users.iter().any(|(user, _)| user.name == name) {
            return Err(CoreError::NameTaken);
        }
        let user = UserId(u32::try_from(self.users.len()).unwrap() + 1);
        self.users.push((Account { user, name, role }, hash));
        Ok(user)
    }
}

impl Core for FakeCore {
    fn facts(&self) -> Answer<Facts> {
        now(Ok(Facts {
            box_id: BoxId([7; 16]),
            epoch: Epoch([8; 16]),
            claimed: !lock(&self.0).users.is_empty(),
            rescue: None,
        }))
    }

    fn claim(&self, _: ProvisionId, name: String, hash: String) -> Answer<UserId> {
        let mut state = lock(&self.0);
        if !state.users.is_empty() {
            return now(Err(CoreError::AlreadyClaimed));
        }
        state.claims += 1;
        now(state.add(name, Role::Owner, hash))
    }

    fn add_user(&self, _: UserId, name: String, role: Role, hash: String) -> Answer<UserId> {
        now(lock(&self.0).add(name, role, hash))
    }

    fn users(&self) -> Answer<Vec<Account>> {
        let users = lock(&self.0).users.iter().map(|(user, _)| user.clone()).collect();
        now(Ok(users))
    }

    fn find_user(&self, name: String) -> Answer<Option<Credentials>> {
        let state = lock(&self.0);
        let found = state.users.iter().find(|(user, _)| user.name == name);
        now(Ok(
            found.map(|(user, hash)| Credentials { user: user.user, password_hash: hash.clone() })
        ))
    }

    fn add_device(&self, user: UserId, label: String, hash: TokenHash) -> Answer<DeviceId> {
        let mut state = lock(&self.0);
        let device = DeviceId(u32::try_from(state.devices.len()).unwrap() + 1);
        state.devices.push((device, user, label, hash));
        now(Ok(device))
    }

    fn remove_device(&self, user: UserId, device: DeviceId) -> Answer<()> {
        let mut state = lock(&self.0);
        let before = state.devices.len();
        state.devices.retain(|(d, u, ..)| (*d, *u) != (device, user));
        let removed = state.devices.len() < before;
        now(removed.then_some(()).ok_or(CoreError::NoSuchDevice))
    }

    fn devices(&self, user: UserId) -> Answer<Vec<DeviceEntry>> {
        let state = lock(&self.0);
        let own = state.devices.iter().filter(|(_, u, ..)| *u == user);
        let entry = |(device, _, label, _): &(DeviceId, UserId, String, TokenHash)| DeviceEntry {
            device: *device,
            label: label.clone(),
        };
        now(Ok(own.map(entry).collect()))
    }

    fn who_is(&self, hash: TokenHash) -> Answer<Option<Caller>> {
        let state = lock(&self.0);
        let found = state.devices.iter().find(|(.., h)| *h == hash);
        now(Ok(found.map(|(device, user, ..)| {
            let index = usize::try_from(user.0).unwrap() - 1;
            Caller { user: *user, device: *device, role: state.users[index].0.role }
        })))
    }

    fn health(&self) -> Answer<HealthReport> {
        now(Ok(HealthReport {
            ok: true,
            items: vec![HealthItem {
                name: "card_space".to_owned(),
                ok: true,
                text: "plenty".to_owned(),
            }],
        }))
    }

    fn figures(&self) -> Answer<Figures> {
        let card = Card { kind: Some("SD".to_owned()), ..Card::default() };
        now(Ok(Figures { sessions: 3, card: Some(card), ..Figures::default() }))
    }

    fn appliance(&self) -> Answer<ApplianceReport> {
        now(Ok(ApplianceReport { host_name: "linnet".to_owned(), ..ApplianceReport::default() }))
    }

    fn order(&self, order: Order) -> Answer<()> {
        if order == Order::SetHostName("Not A Name".to_owned()) {
            return now(Err(CoreError::Refused("that is no host name".to_owned())));
        }
        lock(&self.0).orders.push(order);
        now(Ok(()))
    }

    fn backup(&self) -> Answer<Backup> {
        let (sender, chunks) = mpsc::channel(4);
        for part in ["one ", "two ", "three"] {
            sender.try_send(Ok(Bytes::from_static(part.as_bytes()))).unwrap();
        }
        now(Ok(Backup { file_name: "linnet.backup".to_owned(), bytes: Some(13), chunks }))
    }
}
