//! Listening sockets and the names they are reached by.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context as _, bail};
use update::control;
use web::{Listeners, Network};

use crate::args::Args;
use crate::limits::BACKLOG;

/// Binds every socket that was asked for.
pub(crate) fn bind(args: &Args) -> anyhow::Result<Listeners> {
    Ok(Listeners {
        https: bind_one(args.listen)?,
        http: args.listen_http.map(bind_one).transpose()?,
        native: args.listen_native.map(bind_one).transpose()?,
    })
}

/// The same sockets once more, so that the ports stay open while one holder gives them up.
pub(crate) fn again(listeners: &Listeners) -> std::io::Result<Listeners> {
    let other =
        |socket: &Option<TcpListener>| socket.as_ref().map(TcpListener::try_clone).transpose();
    Ok(Listeners {
        https: listeners.https.try_clone()?,
        http: other(&listeners.http)?,
        native: other(&listeners.native)?,
    })
}

/// Binds the door without TLS. Whoever may measure is on this machine, so nobody else comes in.
pub(crate) fn bind_plain(args: &Args) -> anyhow::Result<Option<TcpListener>> {
    if let Some(address) = args.listen_plain
        && !address.ip().is_loopback()
    {
        bail!("--listen-plain has no encryption and takes a loopback address only, not {address}");
    }
    args.listen_plain.map(bind_one).transpose()
}

/// Binds the door of QUIC, when asked for.
pub(crate) fn bind_quic(args: &Args) -> anyhow::Result<Option<UdpSocket>> {
    let bind = |address| {
        UdpSocket::bind(address).with_context(|| {
            format!("can't listen on UDP {address}: is another server running there?")
        })
    };
    args.listen_quic.map(bind).transpose()
}

fn bind_one(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        rustix::net::listen(&listener, BACKLOG)?; // the standard library asks for 128
        Ok(listener)
    });
    bound.with_context(|| format!("can't listen on {address}: is another server running there?"))
}

/// What the box answers to: names from the command line, init's host name, the bound addresses.
pub(crate) fn network(
    args: &Args,
    host_name: Option<&str>,
    outside: Option<&control::Network>,
) -> Network {
    let mut names = args.host.clone();
    if let Some(host_name) = host_name {
        names.push(host_name.to_owned());
        names.push(format!("{host_name}.local"));
    }
    // A neighbour had the name already, so the box goes by another one.
    let announced = outside.and_then(|network| network.announced.as_ref());
    if let Some(other) = announced.filter(|name| Some(name.as_str()) != host_name) {
        names.push(format!("{other}.local"));
    }
    let bound = [Some(args.listen), args.listen_http, args.listen_native, args.listen_quic];
    let bound = bound.into_iter().flatten().map(|address| address.ip());
    let v4 = outside.and_then(|network| network.address).map(|(address, _)| address.into());
    let v6 = outside.iter().flat_map(|network| &network.addresses_v6);
    let addresses: BTreeSet<IpAddr> = bound
        .chain(v4)
        .chain(v6.map(|address| (*address).into()))
        .filter(|address| !address.is_unspecified())
        .collect();
    Network { names, addresses: addresses.into_iter().collect() }
}

/// The name that a link for people carries.
pub(crate) fn host_for_links(args: &Args) -> String {
    let named = args.host.first().cloned();
    named.unwrap_or_else(|| match args.listen.ip() {
        address if address.is_unspecified() || address.is_loopback() => "localhost".into(),
        IpAddr::V6(address) => format!("[{address}]"),
        IpAddr::V4(address) => address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_door_without_tls_opens_on_loopback_only() {
        let args =
            |address| Args::parse_from(["linnetd", "--data", "d", "--listen-plain", address]);
        assert!(bind_plain(&args("127.0.0.1:0")).unwrap().is_some());
        let refused = bind_plain(&args("0.0.0.0:0")).unwrap_err().to_string();
        assert!(refused.contains("loopback"), "{refused}");
    }

    #[test]
    fn wildcard_addresses_are_no_names_and_init_s_address_is() {
        let args = Args::parse_from(["linnetd", "--data", "d", "--listen", "0.0.0.0:443"]);
        let outside = control::Network {
            address: Some(([192, 168, 1, 7].into(), 24)),
            addresses_v6: vec!["fe80::7".parse().unwrap()],
            announced: Some("linnet-2".into()),
            ..control::Network::default()
        };
        let network = network(&args, Some("linnet"), Some(&outside));
        let v6: IpAddr = "fe80::7".parse().unwrap();
        assert_eq!(network.addresses, [IpAddr::from([192, 168, 1, 7]), v6]);
        assert_eq!(network.names, ["linnet", "linnet.local", "linnet-2.local"]);
        assert_eq!(host_for_links(&args), "localhost");
    }
}
