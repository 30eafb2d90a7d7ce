//! What attackers need beyond a client: connections from many addresses, and streams that are fed
//! one byte a second.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::session::is_timeout;

/// One of 65,536 addresses of the loopback network; the server tells them apart.
pub fn source(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 77, high, low)
}

/// Connects from an address of one's own.
pub fn connect_from(source: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    connect(&socket, &to)?;
    Ok(socket.into())
}

/// Whether the server has closed a connection that it has nothing to say on.
pub fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    stream.set_nonblocking(true).expect("a socket can be made so");
    let read = stream.peek(&mut byte);
    stream.set_nonblocking(false).expect("a socket can be made so");
    match read {
        Ok(count) => count == 0,
        Err(error) => !is_timeout(&error),
    }
}

/// How a fed stream ended.
#[derive(Debug)]
pub struct Fed {
    /// How long the server kept it.
    pub kept: Duration,
    /// What the server said meanwhile.
    pub said: Vec<u8>,
}

/// Feeds a stream, whose reads wait a second at most, one byte a second until the server ends it.
/// When all bytes are through, it stays silent.
pub fn feed(stream: &mut (impl Read + Write), bytes: &[u8], at_most: Duration) -> Fed {
    let (start, mut said, mut rest) = (Instant::now(), Vec::new(), bytes.iter());
    while start.elapsed() < at_most {
        if let Some(byte) = rest.next() {
            // A server that is gone shows at the read.
            let _ = stream.write_all(&[*byte]).and_then(|()| stream.flush());
        }
        let next = start + Duration::from_secs(1 + start.elapsed().as_secs());
        if read_until(stream, next, &mut said) {
            return Fed { kept: start.elapsed(), said };
        }
    }
    panic!("the server still keeps it after {:?}", start.elapsed());
}

/// Reads until a time; true when the server ended the stream.
fn read_until(stream: &mut impl Read, until: Instant, said: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 4096];
    while Instant::now() < until {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(count) => said.extend_from_slice(&chunk[..count]),
            Err(error) if is_timeout(&error) => {}
            Err(_) => return true,
        }
    }
    false
}
