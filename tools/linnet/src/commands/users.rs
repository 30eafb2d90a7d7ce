//! `linnet users`, `linnet users add`.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use linnet::client::Http;
use linnet::profile::Profile;
use serde::{Deserialize, Serialize};
use wire::ids::UserId;
use wire::server::Role;

use super::{ask, print};

#[derive(Args)]
pub(crate) struct Users {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Add a user; the password is asked for.
    Add(Add),
}

#[derive(Args)]
struct Add {
    /// Sign-in name.
    name: String,
    /// What they may do.
    #[arg(long, value_enum, default_value_t = NewRole::Member)]
    role: NewRole,
    /// Read the password from stdin instead of asking.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum NewRole {
    Admin,
    Member,
}

#[derive(Serialize, Deserialize)]
struct Account {
    user: UserId,
    name: String,
    role: Role,
}

#[derive(Deserialize)]
struct Accounts {
    users: Vec<Account>,
}

#[derive(Serialize)]
struct NewUser<'a> {
    name: &'a str,
    password: String,
    role: Role,
}

#[derive(Deserialize)]
struct Added {
    user: UserId,
}

impl Users {
    pub(crate) async fn run(self, profile: &Profile) -> Result<()> {
        match self.verb {
            Some(Verb::Add(add)) => add.run(profile).await,
            None => list(profile, self.json).await,
        }
    }
}

impl Add {
    async fn run(self, profile: &Profile) -> Result<()> {
        let body = NewUser {
            name: &self.name,
            password: ask::new_password(self.password_stdin)?,
            role: match self.role {
                NewRole::Admin => Role::Admin,
                NewRole::Member => Role::Member,
            },
        };
        let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
        let added: Added = http.post("/api/users", Some(&profile.token), &body).await?;
        print::line(&format!("{} is user {}", print::plain(&self.name), added.user))
    }
}

async fn list(profile: &Profile, json: bool) -> Result<()> {
    let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
    let accounts: Accounts = http.get("/api/users", Some(&profile.token)).await?;
    for account in accounts.users {
        if json {
            print::json_line(&account)?;
        } else {
            let role = print::role(account.role);
            let name = print::plain(&account.name);
            print::line(&format!("{:>5}  {role:6}  {name}", account.user.0))?;
        }
    }
    Ok(())
}
