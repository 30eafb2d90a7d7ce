//! The QUIC link against quinn's own server core, on loopback.

use std::net::UdpSocket;
use std::time::Duration;

use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{Incoming, ServerConfig};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};

use super::*;
use crate::limits::RECEIVE_BYTES;
use crate::stamp::Stamp;
use crate::tls::Tls;

/// Opens a stream to whoever connects, says `ready`, and says everything back.
struct Echo {
    socket: UdpSocket,
    endpoint: Endpoint,
    talk: Option<(ConnectionHandle, Connection, Option<StreamId>)>,
}

impl Echo {
    fn start() -> SocketAddr {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"echo".to_vec()];
        let crypto = QuicServerConfig::try_from(tls).unwrap();
        let config = Some(Arc::new(ServerConfig::with_crypto(Arc::new(crypto))));
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), config, true, None);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || Self { socket, endpoint, talk: None }.serve());
        address
    }

    fn serve(mut self) {
        let mut buffer = vec![0; RECEIVE_BYTES];
        loop {
            if let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) {
                self.take(&buffer[..bytes], from);
            }
            self.carry_on();
        }
    }

    fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        let (data, mut answer) = (BytesMut::from(datagram), Vec::new());
        match self.endpoint.handle(Instant::now(), from, None, None, data, &mut answer) {
            Some(DatagramEvent::NewConnection(incoming)) => self.accept(incoming),
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                self.talk.as_mut().unwrap().1.handle_event(event);
            }
            _ => {}
        }
    }

    fn accept(&mut self, incoming: Incoming) {
        let accepted = self.endpoint.accept(incoming, Instant::now(), &mut Vec::new(), None);
        let (handle, connection) = accepted.map_err(|error| error.cause).unwrap();
        self.talk = Some((handle, connection, None));
    }

    fn carry_on(&mut self) {
        let Some((handle, connection, stream)) = &mut self.talk else { return };
        connection.handle_timeout(Instant::now());
        while let Some(event) = connection.poll() {
            if matches!(event, QuicEvent::Connected) {
                let id = connection.streams().open(Dir::Bi).unwrap();
                connection.send_stream(id).write(b"ready\n").unwrap();
                *stream = Some(id);
            }
        }
        let mut heard = Vec::new();
        if let Some(id) = *stream
            && let Ok(mut chunks) = connection.recv_stream(id).read(true)
        {
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                heard.extend_from_slice(&chunk.bytes);
            }
            let _ = chunks.finalize();
        }
        if !heard.is_empty() {
            connection.send_stream(stream.unwrap()).write(&heard).unwrap();
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        let mut datagram = Vec::new();
        while let Some(transmit) = connection.poll_transmit(Instant::now(), 1, &mut datagram) {
            self.socket.send_to(&datagram[..transmit.size], transmit.destination).unwrap();
            datagram.clear();
        }
    }
}

/// Counts bytes: six of them make it ready, a hundred more are a message.
#[derive(Default)]
struct Counting(usize);

impl Session for Counting {
    fn start(&mut self, _out: &mut Vec<u8>) {}

    fn receive(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let before = self.0;
        self.0 += input.len();
        for (bytes, event) in [(6, Event::Ready), (106, Event::Pong)] {
            if before < bytes && self.0 >= bytes {
                events.push(event);
            }
        }
        Ok(())
    }

    fn publish(&mut self, _room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        stamp.write(100, out);
    }
}

fn wait_for(link: &mut QuicLink, buffers: &mut Buffers, wanted: Event) {
    let mut events = Vec::new();
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        link.receive(buffers, &mut events).unwrap();
        link.expire(buffers, &mut events).unwrap();
        if events.contains(&wanted) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{wanted:?} never came");
}

#[test]
fn a_session_runs_on_the_stream_that_the_server_opens() {
    let server = Echo::start();
    let name = ServerName::from(server.ip());
    let mut tls = Tls::new(vec![b"echo".to_vec()], None, name, false).unwrap();
    let (config, _) = tls.for_slot(0);
    let session = Box::<Counting>::default();
    let mut link = QuicLink::connect(server, 0, session, config).unwrap();
    let mut buffers = Buffers::new(RECEIVE_BYTES);
    wait_for(&mut link, &mut buffers, Event::Ready);
    let stamp = Stamp { sender: 1, seq: 2 };
    link.act(&mut buffers, |session, out| session.publish(0, stamp, out)).unwrap();
    wait_for(&mut link, &mut buffers, Event::Pong);
    assert!(link.expiry().is_some(), "a live connection watches the clock");
}
