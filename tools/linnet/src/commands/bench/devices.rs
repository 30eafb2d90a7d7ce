//! The devices that measure: signed in with the owner's password, known by their label, so that
//! what an earlier run could not take away goes with the next.

use anyhow::Result;
use linnet::client::{ClientError, Http, Trust, login};
use linnet::profile::Profile;
use serde::Deserialize;
use wire::ids::{DeviceId, DeviceToken};

use super::plan::DEVICES;

/// What the device list calls them.
const LABEL: &str = "linnet bench";

/// The devices of one account.
pub(super) struct Devices<'a> {
    profile: &'a Profile,
}

#[derive(Deserialize)]
struct Listed {
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    device: DeviceId,
    label: String,
}

#[derive(Deserialize)]
struct Done {}

impl<'a> Devices<'a> {
    pub(super) fn of(profile: &'a Profile) -> Self {
        Self { profile }
    }

    /// Signs all in, one after another: a Pi checks two passwords at once.
    pub(super) async fn sign_in(&self, password: &str) -> Result<Vec<DeviceToken>> {
        let profile = self.profile;
        let Trust::Pinned(ca) = profile.trust()? else {
            anyhow::bail!("a profile always pins its box");
        };
        let mut tokens = Vec::new();
        for _ in 0..DEVICES {
            let signed_in = login(&profile.host, &ca, &profile.name, password, LABEL).await?;
            tokens.push(signed_in.token);
        }
        Ok(tokens)
    }

    /// Takes away every device with the label; their sessions end.
    pub(super) async fn remove_all(&self) -> Result<()> {
        let (profile, token) = (self.profile, Some(&self.profile.token));
        let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
        let listed: Listed = http.get("/api/devices", token).await?;
        for device in listed.devices.iter().filter(|it| it.is_ours(profile.device)) {
            let path = format!("/api/devices/{}", device.device.0);
            match http.delete::<Done>(&path, token).await {
                Ok(Done {}) => {}
                Err(ClientError::Refused(refusal)) if refusal.reason == "no_such_device" => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Device {
    /// Never the one that this computer is signed in with, whatever it is called.
    fn is_ours(&self, own: DeviceId) -> bool {
        self.label == LABEL && self.device != own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_that_measure_are_taken_away() {
        let device = |number, label: &str| Device { device: DeviceId(number), label: label.into() };
        assert!(device(2, LABEL).is_ours(DeviceId(1)));
        assert!(!device(1, LABEL).is_ours(DeviceId(1)));
        assert!(!device(2, "bench").is_ours(DeviceId(1)));
    }
}
