//! Checks every request passes before anything looks at it: Host, Origin, no secret in the query.
//!
//! Host: a page of another name that resolves to the box (DNS rebinding) must not reach it. Origin:
//! a page of another site must not speak for a signed-in person. Query: it ends up in histories and
//! logs. Pure.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode, header};

use crate::config::Network;
use crate::errors::ApiError;
use crate::trust::is_private;

/// Query keys that carry secrets in other products; none is ever read here.
const SECRET_KEYS: [&str; 9] = [
    "token",
    "access_token",
    "auth",
    "authorization",
    "bearer",
    "claim",
    "key",
    "password",
    "secret",
];

/// The first reason to refuse a request, if any.
pub(crate) fn check<B>(request: &Request<B>, network: &Network) -> Result<(), ApiError> {
    let host = host_of(request)?;
    check_host(&host, network)?;
    check_query(request.uri().query())?;
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD) && !upgrade;
    if harmless { Ok(()) } else { check_origin(request.headers(), &host) }
}

/// The one host a request names; HTTP/1.1 demands it (RFC 9112, 3.2).
pub(crate) fn host_of<B>(request: &Request<B>) -> Result<Authority, ApiError> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        let text = "the request must name its host exactly once";
        return Err(ApiError::bad("host", text));
    };
    let host = Authority::try_from(host.as_bytes());
    let host = host.map_err(|_| ApiError::bad("host", "the Host header is not a host"))?;
    let odd_port = host.port_u16().is_none() && host.as_str().len() > host.host().len();
    if odd_port
        || host.as_str().contains('@')
        || request.uri().authority().is_some_and(|it| *it != host)
    {
        let text = "the Host header does not agree with the address asked for";
        return Err(ApiError::bad("host", text));
    }
    Ok(host)
}

fn check_host(host: &Authority, network: &Network) -> Result<(), ApiError> {
    if is_known(host.host(), network) {
        return Ok(());
    }
    let text = "this box does not go by that name; use linnet.local or its address";
    Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "host", text))
}

/// Own names and addresses, and any private address: nobody can make a foreign page appear under an
/// address literal, and behind a forwarded port the box does not know the outer one.
fn is_known(host: &str, network: &Network) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return is_private(&address) || network.addresses.contains(&address);
    }
    let host = host.trim_end_matches('.');
    let same = |name: &String| name.trim_end_matches('.').eq_ignore_ascii_case(host);
    host.eq_ignore_ascii_case("localhost") || network.names.iter().any(same)
}

fn check_query(query: Option<&str>) -> Result<(), ApiError> {
    let keys = query.unwrap_or_default().split(['&', ';']);
    let mut names = keys.map(|pair| pair.split('=').next().unwrap_or_default());
    if names.any(|name| SECRET_KEYS.iter().any(|key| name.eq_ignore_ascii_case(key))) {
        let text = "a secret must not stand in the address, where histories and logs keep it; send \
                    it in the Authorization header, in the body, or in hello";
        return Err(ApiError::bad("secret_in_query", text));
    }
    Ok(())
}

/// Programs send no Origin; a browser's must be the very page this box served.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), ApiError> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return Ok(());
    };
    let own = format!("https://{host}");
    let same = origin.as_bytes().eq_ignore_ascii_case(own.as_bytes());
    if same && origins.next().is_none() {
        return Ok(());
    }
    let text = "a page of another site may not use this box; open the box's own address";
    Err(ApiError::forbidden("origin", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network {
            names: vec!["linnet.local".to_owned()],
            addresses: vec!["203.0.113.9".parse().unwrap()],
        }
    }

    fn verdict(method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap(), &network()).map_err(|error| error.reason)
    }

    #[test]
    fn own_names_and_addresses_are_answered_and_others_are_not() {
        for host in [
            "linnet.local",
            "LINNET.local:8443",
            "linnet.local.",
            "localhost:1",
            "127.0.0.1:8443",
            "[::1]:8443",
            "[fd00::1]",
            "10.1.2.3",
            "203.0.113.9",
        ] {
            assert_eq!(verdict("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "linnet.local.evil.example",
            "8.8.8.8",
            "xlinnet.local",
            "x@linnet.local",
            "linnet.local:",
            "linnet.local:99999",
            "linnet.local:1;script-src",
            "",
        ] {
            assert_eq!(verdict("GET", "/", &[("host", host)]), Err("host"), "{host}");
        }
    }

    #[test]
    fn a_missing_doubled_or_contradicting_host_is_refused() {
        assert_eq!(verdict("GET", "/", &[]), Err("host"));
        let twice = [("host", "linnet.local"), ("host", "linnet.local")];
        assert_eq!(verdict("GET", "/", &twice), Err("host"));
        let other = "http://evil.example/";
        assert_eq!(verdict("GET", other, &[("host", "linnet.local")]), Err("host"));
    }

    #[test]
    fn only_the_boxs_own_page_may_change_things_or_open_a_socket() {
        let from = |origin| [("host", "linnet.local:8443"), ("origin", origin)];
        assert_eq!(verdict("POST", "/", &from("https://linnet.local:8443")), Ok(()));
        assert_eq!(verdict("POST", "/", &[("host", "linnet.local")]), Ok(()));
        for origin in
            ["https://linnet.local", "http://linnet.local:8443", "https://evil.example", "null", ""]
        {
            assert_eq!(verdict("POST", "/", &from(origin)), Err("origin"), "{origin}");
            let mut upgrade = from(origin).to_vec();
            upgrade.push(("upgrade", "websocket"));
            assert_eq!(verdict("GET", "/ws", &upgrade), Err("origin"), "{origin}");
        }
    }

    #[test]
    fn a_secret_in_the_query_is_refused_before_the_upgrade() {
        let host = [("host", "linnet.local"), ("upgrade", "websocket")];
        for query in ["token=1", "a=b&Access_Token=1", "claim", "x=1;password=2"] {
            let path = format!("/ws?{query}");
            assert_eq!(verdict("GET", &path, &host), Err("secret_in_query"), "{query}");
        }
        assert_eq!(verdict("GET", "/?tokens=1&room=2", &host), Ok(()));
    }
}
