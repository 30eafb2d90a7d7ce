//! Answers to the web side. Changes are records like any other and answered when durable.

use wire::ids::{DeviceId, ProvisionId, Seq, TokenHash, UserId};
use wire::limits::NAME_BYTES_MAX;
use wire::record::{Claimed, DeviceAdded, DeviceRemoved, EpochBegun, MessagePosted, UserAdded};
use wire::server::Role;

use crate::api::{
    AccountFacts, ApiCall, ApiError, ApiReply, DeviceFacts, Facts, Identity as Known, Login,
};
use crate::chat::{Cause, Chat};
use crate::limits::{DEVICES_PER_USER_MAX, USERS_MAX};
use crate::port::{Output, Ticket};
use crate::session::Identity;
use crate::state::{Account, Device, PasswordHash, SYSTEM_DEVICE, SYSTEM_ROOM, SYSTEM_USER};

/// The hidden room holds one message, which every probe replaces.
const PROBE_SEQ: Seq = Seq(1);

impl Chat {
    pub(crate) fn serve(&mut self, ticket: Ticket, call: ApiCall) {
        let reply = self.answer(call);
        self.pending.hold(self.state.head(), Output::ApiDone { ticket, reply });
    }

    fn answer(&mut self, call: ApiCall) -> Result<ApiReply, ApiError> {
        match call {
            ApiCall::Facts => Ok(ApiReply::Facts(self.facts())),
            ApiCall::BeginEpoch { box_id, epoch } => {
                self.record(Cause::BOX, EpochBegun { box_id, epoch }.into());
                Ok(ApiReply::Done)
            }
            ApiCall::Claim { provision, name, password_hash } => {
                self.claim(provision, &name, password_hash)
            }
            ApiCall::AddUser { by, name, role, password_hash } => {
                self.may_add(by, role)?;
                self.add_user(&name, role, password_hash)
            }
            ApiCall::FindUser { name } => {
                Ok(ApiReply::Login(self.state.user_named(&name).map(login_of)))
            }
            ApiCall::ListUsers => {
                Ok(ApiReply::Users(self.state.users().map(account_facts).collect()))
            }
            ApiCall::AddDevice { user, label, token_hash } => {
                self.add_device(user, &label, token_hash)
            }
            ApiCall::RemoveDevice { device } => self.remove_device(device),
            ApiCall::WhoIs { token_hash } => Ok(ApiReply::Identity(self.who_is(&token_hash))),
            ApiCall::ListDevices { user } => self.list_devices(user),
            ApiCall::HealthProbe { nonce } => self.probe(nonce),
        }
    }

    fn facts(&self) -> Facts {
        let meta = self.state.meta();
        Facts {
            box_id: meta.box_id,
            epoch: meta.epoch,
            claimed: meta.owner.is_some(),
            head: meta.head,
            users: self.state.users.len(),
            rooms: self.state.rooms().count(),
            sessions: self.sessions.len(),
            dirty_sessions: self.sessions.dirty().len(),
        }
    }

    fn claim(
        &mut self,
        provision: ProvisionId,
        name: &str,
        password_hash: PasswordHash,
    ) -> Result<ApiReply, ApiError> {
        let meta = self.state.meta();
        if !meta.begun() {
            return Err(ApiError::NotReady);
        }
        if meta.provisions.contains(&provision) {
            return Err(ApiError::ProvisionSpent);
        }
        if meta.owner.is_some() {
            return Err(ApiError::AlreadyClaimed);
        }
        let reply = self.add_user(name, Role::Owner, password_hash)?;
        let user = self.state.meta().last_user;
        self.record(Cause::BOX, Claimed { provision, user }.into());
        Ok(reply)
    }

    fn may_add(&self, by: UserId, role: Role) -> Result<(), ApiError> {
        let asker = self.state.user(by).map(|account| account.role);
        match (asker, role) {
            (Some(Role::Owner), Role::Admin | Role::Member) | (Some(Role::Admin), Role::Member) => {
                Ok(())
            }
            _ => Err(ApiError::NotAllowed),
        }
    }

    fn add_user(
        &mut self,
        name: &str,
        role: Role,
        password_hash: PasswordHash,
    ) -> Result<ApiReply, ApiError> {
        let name = checked(name, "name")?;
        if self.state.user_named(&name).is_some() {
            return Err(ApiError::NameTaken);
        }
        if self.state.users.len() >= USERS_MAX {
            return Err(ApiError::OverLimit { what: "users", max: USERS_MAX });
        }
        self.room_for_record(self.config.shares.log_reserve_bytes)?;
        let user = UserId(self.state.meta().last_user.0 + 1);
        let password_hash = password_hash.0;
        self.record(Cause::BOX, UserAdded { user, name, role, password_hash }.into());
        Ok(ApiReply::UserAdded(user))
    }

    fn add_device(
        &mut self,
        user: UserId,
        label: &str,
        token_hash: TokenHash,
    ) -> Result<ApiReply, ApiError> {
        let label = checked(label, "label")?;
        if self.state.user(user).is_none() {
            return Err(ApiError::NoSuchUser);
        }
        if self.state.device_with(&token_hash).is_some() {
            return Err(ApiError::TokenTaken);
        }
        if self.state.devices_of(user).count() >= DEVICES_PER_USER_MAX {
            return Err(ApiError::OverLimit { what: "devices a user", max: DEVICES_PER_USER_MAX });
        }
        self.room_for_record(0)?;
        let device = DeviceId(self.state.meta().last_device.0 + 1);
        self.record(Cause::BOX, DeviceAdded { device, user, label, token_hash }.into());
        Ok(ApiReply::DeviceAdded(device))
    }

    fn remove_device(&mut self, device: DeviceId) -> Result<ApiReply, ApiError> {
        if device == SYSTEM_DEVICE || self.state.device(device).is_none() {
            return Err(ApiError::NoSuchDevice);
        }
        self.room_for_record(0)?;
        self.record(Cause::BOX, DeviceRemoved { device }.into());
        Ok(ApiReply::Done)
    }

    /// Logins and deletes may use the reserve, everything else may not.
    fn room_for_record(&self, reserve: u64) -> Result<(), ApiError> {
        if self.card.takes(reserve) { Ok(()) } else { Err(ApiError::CardFull) }
    }

    fn who_is(&self, token_hash: &TokenHash) -> Option<Known> {
        let device = self.state.device_with(token_hash)?;
        let account = self.state.user(device.user)?;
        Some(Known {
            user: account.user,
            device: device.device,
            name: account.name.clone(),
            role: account.role,
        })
    }

    fn list_devices(&self, user: UserId) -> Result<ApiReply, ApiError> {
        if self.state.user(user).is_none() {
            return Err(ApiError::NoSuchUser);
        }
        let facts = |device: &Device| DeviceFacts {
            device: device.device,
            label: device.label.clone(),
            added: device.added,
            connected: self
                .sessions
                .of_device(Identity { user, device: device.device })
                .next()
                .is_some(),
        };
        Ok(ApiReply::Devices(self.state.devices_of(user).map(facts).collect()))
    }

    /// Posts through the hidden device like any command, and reads back like any reader.
    fn probe(&mut self, nonce: u64) -> Result<ApiReply, ApiError> {
        let identity = Identity { user: SYSTEM_USER, device: SYSTEM_DEVICE };
        self.room_for_record(0)?;
        let Some(device) = self.state.device(SYSTEM_DEVICE) else {
            return Err(ApiError::ProbeLost);
        };
        let counter = device.last_counter.next();
        let text = nonce.to_string();
        let command = wire::ids::ContentHash([0; 16]);
        let body = MessagePosted { room: SYSTEM_ROOM, seq: PROBE_SEQ, text, command };
        let offset = self.record(Cause::command(identity, counter), body.into());
        let seen = self.may_see(SYSTEM_USER, SYSTEM_ROOM, PROBE_SEQ);
        let message = self.hot.get(SYSTEM_ROOM, PROBE_SEQ).filter(|_| seen);
        match message.map(|message| message.text.parse()) {
            Some(Ok(read)) if read == nonce => Ok(ApiReply::Healthy { nonce: read, offset }),
            _ => Err(ApiError::ProbeLost),
        }
    }
}

/// A name or label without the blanks around it.
fn checked(text: &str, field: &'static str) -> Result<String, ApiError> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    if fits && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(ApiError::BadText { field, max: NAME_BYTES_MAX })
    }
}

fn login_of(account: &Account) -> Login {
    Login { user: account.user, role: account.role, password_hash: account.password_hash.clone() }
}

fn account_facts(account: &Account) -> AccountFacts {
    AccountFacts { user: account.user, name: account.name.clone(), role: account.role }
}
