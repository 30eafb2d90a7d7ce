//! `linnet claim`, `linnet login`, `linnet logout`.

use anyhow::{Result, bail};
use clap::Args;
use linnet::client::{
    ClientError, Fingerprint, Host, Http, NewOwner, SignedIn, claim, first_contact, login,
};
use linnet::link::ClaimLink;
use linnet::profile::{Profile, Profiles};
use serde::Deserialize;
use wire::ids::BoxId;

use super::{ask, print};

#[derive(Args)]
pub(crate) struct Claim {
    /// The claim link, or `-` to read it from stdin, where no process list shows it.
    link: String,
    /// Sign-in name of the owner.
    #[arg(long)]
    name: Option<String>,
    /// Read the password from stdin instead of asking.
    #[arg(long)]
    password_stdin: bool,
    /// What the device list calls this computer.
    #[arg(long)]
    device: Option<String>,
}

#[derive(Args)]
pub(crate) struct Login {
    /// Where the box is, for example linnet.local or 192.168.1.4:8443.
    host: Host,
    /// Sign-in name.
    #[arg(long)]
    name: Option<String>,
    /// Read the password from stdin instead of asking.
    #[arg(long)]
    password_stdin: bool,
    /// What the device list calls this computer.
    #[arg(long)]
    device: Option<String>,
    /// The eight words on the box's screen: no question is asked when they fit.
    #[arg(long, value_name = "EIGHT WORDS")]
    words: Option<String>,
}

#[derive(Deserialize)]
struct Facts {
    box_id: BoxId,
}

#[derive(Deserialize)]
struct Done {}

impl Claim {
    pub(crate) async fn run(self, profiles: &Profiles) -> Result<()> {
        let text = match self.link.as_str() {
            "-" => ask::line_of_stdin("claim link")?,
            link => link.to_owned(),
        };
        let link = ClaimLink::parse(&text)?;
        let name = name(self.name)?;
        let owner = NewOwner {
            password: ask::new_password(self.password_stdin)?,
            device: ask::device_label(self.device),
            name: name.clone(),
        };
        let (signed_in, ca_der) = claim(&link.host, &link.token, &owner).await?;
        let profile = remember(profiles, link.host, ca_der, name, signed_in).await?;
        let words = Fingerprint::of(&ca_of(&profile)?);
        print::line(&format!("{} is yours now. Its eight words, as on its screen:", profile.host))?;
        print::line(&format!("  {words}"))
    }
}

impl Login {
    pub(crate) async fn run(self, profiles: &Profiles) -> Result<()> {
        let ca_der = match known_ca(profiles, &self.host)? {
            // Given words are a person's newer word about who answers there.
            Some(ca_der) if self.words.is_none() => ca_der,
            _ => self.vouched_ca(profiles).await?,
        };
        let name = name(self.name)?;
        let password = ask::password(self.password_stdin)?;
        let device = ask::device_label(self.device);
        let signed_in = login(&self.host, &ca_der, &name, &password, &device).await;
        let signed_in = signed_in?;
        let profile = remember(profiles, self.host, ca_der, name, signed_in).await?;
        print::line(&format!("signed in to {} as {}", profile.host, profile.name))
    }

    /// The CA that answers, once a person or the given words vouch for it, or because this computer
    /// knows that box under another address.
    async fn vouched_ca(&self, profiles: &Profiles) -> Result<Vec<u8>> {
        let ca_der = first_contact(&self.host).await?;
        let words = Fingerprint::of(&ca_der).to_string();
        if let Some(expected) = &self.words {
            let expected: Vec<String> =
                expected.split_whitespace().map(str::to_lowercase).collect();
            if expected.join(" ") == words {
                return Ok(ca_der);
            }
            let text = format!("{} shows other words: {words}. Nothing was sent to it", self.host);
            return Err(ClientError::NotTheBox(text).into());
        }
        let ca = Profile::encode_ca(&ca_der);
        if profiles.all()?.iter().any(|profile| profile.ca == ca) {
            return Ok(ca_der);
        }
        eprintln!("This computer does not know {} yet. Its eight words are:", self.host);
        eprintln!("  {words}");
        let question = "Are they the words on the box's screen or on its /trust page (yes/no)";
        if ask::confirmed(question)? {
            return Ok(ca_der);
        }
        bail!("not signed in; compare the words and try again, or pass them with --words");
    }
}

/// Signs out on the box if it answers, and forgets it here.
pub(crate) async fn logout(profiles: &Profiles, which: Option<&str>) -> Result<()> {
    let profile = profiles.choose(which)?;
    let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
    let signed_out =
        http.post::<Done>("/api/logout", Some(&profile.token), &serde_json::json!({})).await;
    match signed_out {
        Ok(Done {}) => {}
        Err(ClientError::Refused(refusal)) if refusal.reason == "bad_token" => {}
        Err(error) => return Err(error.into()),
    }
    profiles.forget(&profile)?;
    print::line(&format!("signed out of {}", profile.host))
}

fn name(given: Option<String>) -> Result<String> {
    match given {
        Some(name) => Ok(name),
        None => ask::visible("Name"),
    }
}

fn ca_of(profile: &Profile) -> Result<Vec<u8>> {
    match profile.trust()? {
        linnet::client::Trust::Pinned(der) => Ok(der),
        linnet::client::Trust::FirstContact => bail!("a profile always pins its box"),
    }
}

/// The CA pinned for a host, if this computer knows it.
fn known_ca(profiles: &Profiles, host: &Host) -> Result<Option<Vec<u8>>> {
    let known = profiles.all()?.into_iter().find(|it| it.host == *host);
    known.as_ref().map(ca_of).transpose()
}

async fn remember(
    profiles: &Profiles,
    host: Host,
    ca_der: Vec<u8>,
    name: String,
    signed_in: SignedIn,
) -> Result<Profile> {
    let trust = linnet::client::Trust::Pinned(ca_der.clone());
    let facts: Facts = Http::connect(&host, &trust).await?.get("/api/facts", None).await?;
    let profile = Profile {
        box_id: facts.box_id,
        host,
        ca: Profile::encode_ca(&ca_der),
        name,
        user: signed_in.user,
        device: signed_in.device,
        token: signed_in.token,
    };
    for other in profiles.all()? {
        if other.host == profile.host && other.box_id != profile.box_id {
            eprintln!("linnet: the box that was at {} before is forgotten", other.host);
            profiles.forget(&other)?;
        }
    }
    profiles.save(&profile)?;
    Ok(profile)
}
