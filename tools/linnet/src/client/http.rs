//! REST over one kept-alive connection to a box.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use wire::ids::DeviceToken;

use super::error::ClientError;
use super::host::Host;
use super::tls::{Trust, connect};

/// Longest JSON answer: a thousand users of 200 bytes each, ten times over.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Sixty-four passwords may be hashed before ours, and a backup begins with a checkpoint.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection. Claiming needs both its steps on the same one.
pub struct Http {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    /// Exporter of the TLS connection.
    pub tls_exporter: [u8; 32],
    /// The CA that vouched for the box, in DER.
    pub ca_der: Vec<u8>,
}

/// The box's reason not to do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable word for programs.
    pub reason: String,
    /// The field at fault, or empty.
    pub field: String,
    /// A sentence for people.
    pub text: String,
    /// When to try again, in seconds.
    pub retry_after_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct RefusalBody {
    reason: String,
    field: String,
    text: String,
}

impl Http {
    /// Connects to a box.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(host: &Host, trust: &Trust) -> Result<Self, ClientError> {
        let connection = connect(host, trust, b"http/1.1").await?;
        let (sender, driver) = handshake(TokioIo::new(connection.stream)).await?;
        tokio::spawn(driver);
        Ok(Self {
            sender,
            host: host.to_string(),
            tls_exporter: connection.exporter,
            ca_der: connection.ca_der,
        })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the box's own words, or a broken connection.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
        token: Option<&DeviceToken>,
    ) -> Result<T, ClientError> {
        let response = self.open(Method::GET, path, token, Bytes::new()).await?;
        read(accepted(response).await?).await
    }

    /// Posts a JSON body.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        token: Option<&DeviceToken>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body);
        let body = body.map_err(|error| ClientError::Protocol(error.to_string()))?;
        let response = self.open(Method::POST, path, token, body.into()).await?;
        read(accepted(response).await?).await
    }

    /// Removes something.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn delete<T: DeserializeOwned>(
        &mut self,
        path: &str,
        token: Option<&DeviceToken>,
    ) -> Result<T, ClientError> {
        let response = self.open(Method::DELETE, path, token, Bytes::new()).await?;
        read(accepted(response).await?).await
    }

    /// Asks for something whatever the status, for answers that explain themselves.
    ///
    /// # Errors
    /// As [`Self::get`], but a refusal is an answer.
    pub async fn get_any<T: DeserializeOwned>(
        &mut self,
        path: &str,
        token: Option<&DeviceToken>,
    ) -> Result<(StatusCode, T), ClientError> {
        let response = self.open(Method::GET, path, token, Bytes::new()).await?;
        Ok((response.status(), read(response).await?))
    }

    /// Asks for something long; its trailers are wanted as well.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn stream(
        &mut self,
        path: &str,
        token: Option<&DeviceToken>,
    ) -> Result<Response<Incoming>, ClientError> {
        accepted(self.open(Method::GET, path, token, Bytes::new()).await?).await
    }

    async fn open(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&DeviceToken>,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        let answered = timeout(ANSWER_TIMEOUT, async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        });
        match answered.await {
            Ok(response) => Ok(response?),
            Err(_) => Err(ClientError::Broken("the box does not answer".to_owned())),
        }
    }
}

async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let wait = response.headers().get(header::RETRY_AFTER);
    let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
    let body: RefusalBody = read(response).await?;
    Err(ClientError::Refused(Refusal {
        status: status.as_u16(),
        reason: body.reason,
        field: body.field,
        text: body.text,
        retry_after_seconds: wait,
    }))
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, ClientError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = body.collect().await;
    let bytes = body.map_err(|e| ClientError::Broken(e.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|_| {
        let text = format!("status {status} without the JSON of a Linnet box");
        ClientError::Protocol(text)
    })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the box refused: {}", self.text)?;
        match self.retry_after_seconds {
            Some(seconds) if !self.text.contains("seconds") => {
                write!(f, " (try again in {seconds} seconds)")
            }
            _ => Ok(()),
        }
    }
}
