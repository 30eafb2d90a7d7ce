//! The claim link that belongs to a card: `https://HOST/#claim=TOKEN`.

use update::claim::{ClaimToken, TokenError};

use crate::client::Host;

/// Where the box is, and the proof of owning it.
#[derive(Debug)]
pub struct ClaimLink {
    /// The box.
    pub host: Host,
    /// The secret; it is proven, never sent.
    pub token: ClaimToken,
}

/// The text is not a claim link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No `#claim=` in it.
    #[error("this is not a claim link; it looks like https://linnet.local/#claim=…")]
    Shape,
    /// The part before it.
    #[error("{0}")]
    Host(String),
    /// The part behind it.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl ClaimLink {
    /// Reads a link.
    ///
    /// # Errors
    /// [`LinkError`], which never repeats the token.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let (address, token) = text.trim().split_once("#claim=").ok_or(LinkError::Shape)?;
        let host = address.parse::<Host>();
        Ok(Self {
            host: host.map_err(|error| LinkError::Host(error.to_string()))?,
            token: ClaimToken::parse(token)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_gives_host_and_token() {
        let token = ClaimToken::from_random([3; 16]);
        let text = format!(" https://10.0.2.15:8443/#claim={}\n", token.text());
        let link = ClaimLink::parse(&text).unwrap();
        assert_eq!(link.host.to_string(), "10.0.2.15:8443");
        assert_eq!(link.token, token);
    }

    #[test]
    fn anything_else_is_refused_without_repeating_the_token() {
        for text in ["", "https://linnet.local/", "https://linnet.local/#claim=short5ecret"] {
            let error = ClaimLink::parse(text).unwrap_err().to_string();
            assert!(!error.contains("short5ecret"), "{error}");
        }
    }
}
