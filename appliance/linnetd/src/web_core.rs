//! Answers the web thread's questions about accounts with the chat core, and its wish for a backup
//! with the file thread. Nothing here blocks; the answers are awaited.

use std::sync::Arc;

use chat::{ApiCall, ApiError, ApiReply};
use files::{ExportHeader, Files, FilesError};
use tokio::sync::mpsc;
use wire::ids::{DeviceId, ProvisionId, TokenHash, UserId};
use wire::server::Role;

use web::{
    Account, Answer, ApplianceReport, Backup, Caller, Core, CoreError, Credentials, DeviceEntry,
    Facts, Figures, HealthItem, HealthReport, Order,
};

use crate::appliance::{self, Appliance};
use crate::claim::ClaimKeeper;
use crate::figures::Machine;
use crate::health::Status;
use crate::link::Link;

/// What a caller is told to wait when too many calls wait already.
const BUSY_RETRY_MS: u32 = 1_000;

/// The web thread's view of the box.
pub(crate) struct WebCore {
    pub(crate) link: Arc<Link>,
    pub(crate) files: Files,
    pub(crate) status: Arc<Status>,
    pub(crate) claim: Arc<ClaimKeeper>,
    pub(crate) machine: Machine,
    pub(crate) appliance: Option<Appliance>,
}

impl WebCore {
    fn ask<T: Send + 'static>(
        &self,
        call: ApiCall,
        read: impl FnOnce(ApiReply) -> Option<T> + Send + 'static,
    ) -> Answer<T> {
        let answer = self.link.call(call);
        let stopping = self.link.stopping();
        Box::pin(async move {
            let Some(answer) = answer else {
                return Err(if stopping { CoreError::ShuttingDown } else { busy() });
            };
            match answer.await {
                Ok(Ok(reply)) => read(reply).ok_or(CoreError::Internal),
                Ok(Err(error)) => Err(translate(error)),
                Err(_) => Err(CoreError::ShuttingDown),
            }
        })
    }
}

impl Core for WebCore {
    fn facts(&self) -> Answer<Facts> {
        self.ask(ApiCall::Facts, |reply| match reply {
            ApiReply::Facts(facts) => Some(Facts {
                box_id: facts.box_id,
                epoch: facts.epoch,
                claimed: facts.claimed,
                rescue: None,
            }),
            _ => None,
        })
    }

    fn claim(&self, provision: ProvisionId, name: String, password_hash: String) -> Answer<UserId> {
        let password_hash = chat::state::PasswordHash(password_hash);
        let claimed = self.ask(ApiCall::Claim { provision, name, password_hash }, user_added);
        let keeper = self.claim.clone();
        Box::pin(async move {
            let user = claimed.await?;
            keeper.spent(provision);
            Ok(user)
        })
    }

    fn add_user(
        &self,
        by: UserId,
        name: String,
        role: Role,
        password_hash: String,
    ) -> Answer<UserId> {
        let password_hash = chat::state::PasswordHash(password_hash);
        self.ask(ApiCall::AddUser { by, name, role, password_hash }, user_added)
    }

    fn users(&self) -> Answer<Vec<Account>> {
        self.ask(ApiCall::ListUsers, |reply| match reply {
            ApiReply::Users(users) => Some(
                users
                    .into_iter()
                    .map(|user| Account { user: user.user, name: user.name, role: user.role })
                    .collect(),
            ),
            _ => None,
        })
    }

    fn find_user(&self, name: String) -> Answer<Option<Credentials>> {
        self.ask(ApiCall::FindUser { name }, |reply| match reply {
            ApiReply::Login(login) => Some(login.map(|login| Credentials {
                user: login.user,
                password_hash: login.password_hash.0,
            })),
            _ => None,
        })
    }

    fn add_device(&self, user: UserId, label: String, token_hash: TokenHash) -> Answer<DeviceId> {
        self.ask(ApiCall::AddDevice { user, label, token_hash }, |reply| match reply {
            ApiReply::DeviceAdded(device) => Some(device),
            _ => None,
        })
    }

    /// Looks first whose it is: the chat core removes any device it is told to.
    fn remove_device(&self, user: UserId, device: DeviceId) -> Answer<()> {
        let own = self.devices(user);
        let link = self.link.clone();
        Box::pin(async move {
            if !own.await?.iter().any(|entry| entry.device == device) {
                return Err(CoreError::NoSuchDevice);
            }
            let answer = link.call(ApiCall::RemoveDevice { device }).ok_or_else(busy)?;
            match answer.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(translate(error)),
                Err(_) => Err(CoreError::ShuttingDown),
            }
        })
    }

    fn devices(&self, user: UserId) -> Answer<Vec<DeviceEntry>> {
        self.ask(ApiCall::ListDevices { user }, |reply| match reply {
            ApiReply::Devices(devices) => Some(
                devices
                    .into_iter()
                    .map(|entry| DeviceEntry { device: entry.device, label: entry.label })
                    .collect(),
            ),
            _ => None,
        })
    }

    fn who_is(&self, token_hash: TokenHash) -> Answer<Option<Caller>> {
        self.ask(ApiCall::WhoIs { token_hash }, |reply| match reply {
            ApiReply::Identity(identity) => Some(identity.map(|known| Caller {
                user: known.user,
                device: known.device,
                role: known.role,
            })),
            _ => None,
        })
    }

    fn health(&self) -> Answer<HealthReport> {
        let lines = self.status.lines();
        let items: Vec<_> = lines
            .into_iter()
            .map(|line| HealthItem { name: line.name.into(), ok: line.ok, text: line.text })
            .collect();
        let ok = items.iter().all(|item| item.ok);
        Box::pin(async move { Ok(HealthReport { ok, items }) })
    }

    fn figures(&self) -> Answer<Figures> {
        let sessions = self.ask(ApiCall::Facts, |reply| match reply {
            ApiReply::Facts(facts) => Some(facts.sessions),
            _ => None,
        });
        let machine = self.machine.clone();
        Box::pin(async move {
            let sessions = sessions.await?;
            let read = tokio::task::spawn_blocking(move || machine.figures(sessions));
            read.await.map_err(|_| CoreError::Internal)
        })
    }

    fn appliance(&self) -> Answer<ApplianceReport> {
        appliance::report(self.appliance.as_ref())
    }

    fn order(&self, order: Order) -> Answer<()> {
        appliance::order(self.appliance.as_ref(), order)
    }

    fn backup(&self) -> Answer<Backup> {
        let facts = self.facts();
        let (files, link) = (self.files.clone(), self.link.clone());
        Box::pin(async move {
            let facts = facts.await?;
            let header = ExportHeader {
                box_id: facts.box_id,
                epoch: facts.epoch,
                time_ms: crate::core::now().0,
                last_offset: link.durable().0,
            };
            stream_backup(&files, header)
        })
    }
}

/// Begins an export and turns its chunks into the web's.
pub(crate) fn stream_backup(files: &Files, header: ExportHeader) -> Result<Backup, CoreError> {
    let chunks = files.backup(header).map_err(|error| from_files(&error))?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(pass_on(chunks, sender));
    let file_name = format!("linnet-{}.linnet-backup", header.last_offset);
    Ok(Backup { file_name, bytes: None, chunks: receiver })
}

type Chunk<E> = Result<bytes::Bytes, E>;

async fn pass_on(mut from: mpsc::Receiver<Chunk<FilesError>>, to: mpsc::Sender<Chunk<CoreError>>) {
    while let Some(chunk) = from.recv().await {
        let chunk = chunk.map_err(|error| from_files(&error));
        if to.send(chunk).await.is_err() {
            return;
        }
    }
}

fn from_files(error: &FilesError) -> CoreError {
    match error {
        FilesError::Busy => busy(),
        FilesError::Stopped => CoreError::ShuttingDown,
        other => {
            tracing::error!(error = %other, "a backup failed");
            CoreError::Internal
        }
    }
}

fn busy() -> CoreError {
    CoreError::Busy { retry_after_ms: BUSY_RETRY_MS }
}

fn user_added(reply: ApiReply) -> Option<UserId> {
    match reply {
        ApiReply::UserAdded(user) => Some(user),
        _ => None,
    }
}

fn translate(error: ApiError) -> CoreError {
    match error {
        ApiError::AlreadyClaimed => CoreError::AlreadyClaimed,
        ApiError::ProvisionSpent => CoreError::ProvisionSpent,
        ApiError::NameTaken => CoreError::NameTaken,
        ApiError::NotAllowed => CoreError::NotAllowed,
        ApiError::NoSuchUser => CoreError::NoSuchUser,
        ApiError::NoSuchDevice => CoreError::NoSuchDevice,
        ApiError::CardFull => CoreError::CardFull,
        ApiError::Busy | ApiError::NotReady => busy(),
        ApiError::BadText { .. } | ApiError::OverLimit { .. } => {
            CoreError::OverLimit(error.to_string())
        }
        ApiError::TokenTaken | ApiError::ProbeLost => {
            tracing::error!(%error, "the core refused a call that should have worked");
            CoreError::Internal
        }
    }
}
