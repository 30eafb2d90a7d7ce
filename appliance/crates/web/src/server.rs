//! The thread "web": one tokio runtime that accepts, handshakes and answers; see [`start`].

mod connection;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use rustls::ServerConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

use crate::admission::{Admission, Verdict};
use crate::app::{App, lock};
use crate::config::{Claimable, Config, Listeners, Network};
use crate::limits::{
    BLOCKING_THREADS_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, LEAF_CHECK_INTERVAL,
};
use crate::throttle::household;
use crate::trust::{Fingerprint, Trust, TrustError};
use crate::{api, pages};

/// Pause after `accept` failed, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the web server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No certificate to serve with.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A socket or the thread could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

/// Where the listeners are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Web client, REST, WebSockets.
    pub https: SocketAddr,
    /// Redirect and trust page.
    pub http: Option<SocketAddr>,
    /// Native sessions.
    pub native: Option<SocketAddr>,
}

/// Gives a place to a connection of another door that nobody signed in on yet, by the limits of
/// all doors together; none when its address has too many or comes too often.
pub type Admit = Box<dyn Fn(IpAddr) -> Option<Box<dyn Send>> + Send>;

/// The running web server. Dropping it stops it.
pub struct Web {
    app: Arc<App>,
    places: Arc<Places>,
    addresses: Addresses,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread "web". It answers when this returns.
///
/// # Errors
/// See [`StartError`].
pub fn start(config: Config) -> Result<Web, StartError> {
    let addresses = addresses(&config.listeners).map_err(io("a listening socket is unusable"))?;
    let listeners = Listeners {
        https: unblocked(&config.listeners.https)?,
        http: config.listeners.http.as_ref().map(unblocked).transpose()?,
        native: config.listeners.native.as_ref().map(unblocked).transpose()?,
    };
    let app = Arc::new(App::new(config, addresses.https.port())?);
    let tls = app.trust.server_config()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(io("the web runtime does not start"))?;
    let (stop, stopped) = oneshot::channel();
    let places = Arc::new(Places::new());
    let (serving, places_taken) = (Arc::clone(&app), Arc::clone(&places));
    let thread = std::thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || {
            runtime.block_on(serve(serving, places_taken, listeners, tls, stopped));
            runtime.shutdown_background();
        })
        .map_err(io("the web thread does not start"))?;
    Ok(Web { app, places, addresses, stop: Some(stop), thread: Some(thread) })
}

impl Web {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What people compare: shown on HDMI, serial, the claim page and by the CLI.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.app.trust.fingerprint()
    }

    /// The keys, for doors that are not this crate's.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.app.trust
    }

    /// Lets connections of other doors in.
    #[must_use]
    pub fn admit(&self) -> Admit {
        let places = Arc::clone(&self.places);
        Box::new(move |address| {
            let permit = Arc::clone(&places.all).try_acquire_owned().ok()?;
            Some(Box::new(places.take(Some(permit), address)?))
        })
    }

    /// Tells the names and addresses the box has now; the certificate follows at once.
    pub fn set_network(&self, network: Network) {
        self.app.set_network(network);
    }

    /// Tells what the first owner has to prove from now on.
    pub fn set_claimable(&self, claimable: Option<Claimable>) {
        self.app.set_claimable(claimable);
    }

    /// Stops serving and waits for the thread. Sessions that were handed over live on.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // The receiver is gone only when the thread ended already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the web thread panicked");
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.end();
    }
}

fn addresses(listeners: &Listeners) -> io::Result<Addresses> {
    let of = |listener: &Option<TcpListener>| {
        let address = listener.as_ref().map(TcpListener::local_addr);
        address.transpose()
    };
    Ok(Addresses {
        https: listeners.https.local_addr()?,
        http: of(&listeners.http)?,
        native: of(&listeners.native)?,
    })
}

fn unblocked(listener: &TcpListener) -> Result<TcpListener, StartError> {
    let ready =
        listener.try_clone().and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    ready.map_err(io("a listening socket is unusable"))
}

fn io(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Io { what, source }
}

/// What one listener speaks.
#[derive(Clone)]
enum Door {
    /// TLS; HTTP unless `linnet` was negotiated.
    Https(TlsAcceptor, Router),
    /// TLS; native sessions unless HTTP was negotiated.
    Native(TlsAcceptor),
    /// No TLS; redirect and trust page.
    Http(Router),
}

async fn serve(
    app: Arc<App>,
    places: Arc<Places>,
    listeners: Listeners,
    tls: Arc<ServerConfig>,
    stopped: oneshot::Receiver<()>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let https = Door::Https(acceptor.clone(), api::router(Arc::clone(&app)));
    let open = |listener, door| accept(listener, door, Arc::clone(&app), Arc::clone(&places));
    tokio::spawn(open(listeners.https, https));
    if let Some(listener) = listeners.native {
        tokio::spawn(open(listener, Door::Native(acceptor)));
    }
    if let Some(listener) = listeners.http {
        let door = Door::Http(pages::plain_router(Arc::clone(&app)));
        tokio::spawn(open(listener, door));
    }
    tokio::spawn(keep_keys_fresh(Arc::clone(&app)));
    // Stopped by word, or by the sender's end: both mean the same.
    let _ = stopped.await;
}

async fn keep_keys_fresh(app: Arc<App>) {
    loop {
        tokio::time::sleep(LEAF_CHECK_INTERVAL).await;
        app.refresh_leaf();
        app.rotate_tickets();
    }
}

async fn accept(listener: TcpListener, door: Door, app: Arc<App>, places: Arc<Places>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener could not be registered"),
    };
    loop {
        let permit = places.wait().await;
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Some(place) = places.take(permit, peer.ip()) {
                    let (door, app) = (door.clone(), Arc::clone(&app));
                    tokio::spawn(connection::run(socket, peer, door, app, place));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Bounded places for connections: in all, and per household of addresses, so that nobody can take
/// them all; and how often each household may come.
struct Places {
    all: Arc<Semaphore>,
    admission: Mutex<Admission>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection's place. A session keeps it after the hand-over until somebody signed in.
pub(crate) struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            admission: Mutex::default(),
            by_address: Arc::default(),
        }
    }

    /// Beyond the limit, connections wait in the kernel's backlog.
    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    fn take(&self, permit: Option<OwnedSemaphorePermit>, address: IpAddr) -> Option<Place> {
        let address = household(address);
        if let Verdict::Refused { tell } = lock(&self.admission).decide(address, Instant::now()) {
            if tell {
                tracing::warn!(%address, "connections are refused: this address opens too many");
            }
            return None;
        }
        let mut by_address = lock(&self.by_address);
        let count = by_address.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { address, by_address: Arc::clone(&self.by_address), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = lock(&self.by_address);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}
