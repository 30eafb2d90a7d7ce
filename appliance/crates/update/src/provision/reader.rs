//! From a TOML table to a checked [`Provisioning`]: each key is taken out and checked, a wrong one
//! is a complaint, and the rest of the file is used all the same.

use std::net::Ipv4Addr;

use super::network::{is_inside, read_address, read_name_servers};
use super::{
    FixedAddress, Parsed, ProvisionError, Provisioning, TIME_SERVERS_MAX, VERSION, Wifi,
    is_country, is_host_name, is_passphrase, is_server, is_server_and_port, is_ssid, is_time_zone,
};
use crate::claim::{ProvisioningId, TokenHash};

/// Takes known keys out of the table; what is left at the end is unknown.
pub(super) struct Reader {
    table: toml::Table,
    complaints: Vec<ProvisionError>,
}

impl Reader {
    pub(super) fn new(table: toml::Table) -> Self {
        Self { table, complaints: Vec::new() }
    }

    pub(super) fn read(mut self) -> Result<Parsed, ProvisionError> {
        self.version()?;
        let id =
            self.required("provisioning_id", "32 hexadecimal digits", ProvisioningId::from_hex)?;
        let hash = "claim_token_sha256";
        let claim_token_hash = self.required(hash, "64 hexadecimal digits", TokenHash::from_hex)?;
        let host = "1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'";
        let zone = "a name like Europe/Berlin";
        let provisioning = Provisioning {
            id,
            claim_token_hash,
            host_name: self.optional("hostname", host, is_host_name),
            country: self.optional("country", "two capital letters like DE", is_country),
            time_zone: self.optional("timezone", zone, is_time_zone),
            wifi: self.wifi(),
            fixed_address: self.fixed_address(),
            time_servers: self.time_servers(),
            syslog: self.optional("syslog", "like logs.example:514", is_server_and_port),
            factory_reset: self.factory_reset(),
        };
        for key in self.table.keys() {
            self.complaints.push(ProvisionError::UnknownKey { key: shown(key) });
        }
        Ok(Parsed { provisioning, complaints: self.complaints })
    }

    fn version(&mut self) -> Result<(), ProvisionError> {
        match self.table.remove("version") {
            Some(toml::Value::Integer(VERSION)) => Ok(()),
            Some(toml::Value::Integer(found)) => Err(ProvisionError::Version { found }),
            Some(_) => Err(ProvisionError::Value { key: "version", expected: "a number" }),
            None => Err(ProvisionError::Missing { key: "version" }),
        }
    }

    fn required<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: fn(&str) -> Option<T>,
    ) -> Result<T, ProvisionError> {
        let value = self.table.remove(key).ok_or(ProvisionError::Missing { key })?;
        value.as_str().and_then(read).ok_or(ProvisionError::Value { key, expected })
    }

    fn optional(
        &mut self,
        key: &'static str,
        expected: &'static str,
        fits: fn(&str) -> bool,
    ) -> Option<String> {
        match self.table.remove(key)? {
            toml::Value::String(text) if fits(&text) => Some(text),
            _ => self.complain(ProvisionError::Value { key, expected }),
        }
    }

    fn factory_reset(&mut self) -> Option<ProvisioningId> {
        let (key, expected) = ("factory_reset", "32 hexadecimal digits, new for each reset");
        let value = self.table.remove(key)?;
        match value.as_str().and_then(ProvisioningId::from_hex) {
            Some(id) => Some(id),
            None => self.complain(ProvisionError::Value { key, expected }),
        }
    }

    fn time_servers(&mut self) -> Vec<String> {
        let (key, expected) = ("ntp_servers", "a list of at most 4 names or addresses");
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        let fits = |servers: &Vec<String>| {
            servers.len() <= TIME_SERVERS_MAX && servers.iter().all(|server| is_server(server))
        };
        let servers = into_texts(value).filter(fits);
        let servers = servers.or_else(|| self.complain(ProvisionError::Value { key, expected }));
        servers.unwrap_or_default()
    }

    fn fixed_address(&mut self) -> Option<FixedAddress> {
        let toml::Value::Table(mut table) = self.table.remove("network")? else {
            let expected = "a table with address, router and name_servers";
            return self.complain(ProvisionError::Value { key: "network", expected });
        };
        let address = table.remove("address");
        let (router, name_servers) = (table.remove("router"), table.remove("name_servers"));
        self.unknown_in("network", &table);
        let Some((address, prefix)) = address.and_then(into_text).and_then(|a| read_address(&a))
        else {
            let expected = "a host's address and prefix length like 192.168.1.20/24";
            return self.complain(ProvisionError::Value { key: "network.address", expected });
        };
        let router = router.and_then(|value| self.router(value, address, prefix));
        let name_servers = name_servers.and_then(|value| self.name_servers(value));
        let name_servers = name_servers.unwrap_or_default();
        Some(FixedAddress { address, prefix, router, name_servers })
    }

    fn router(&mut self, value: toml::Value, address: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
        let router = into_text(value).and_then(|text| text.parse().ok());
        let fits = |at: &Ipv4Addr| *at != address && is_inside(*at, address, prefix);
        let expected = "another address in the network of network.address";
        let key = "network.router";
        router.filter(fits).or_else(|| self.complain(ProvisionError::Value { key, expected }))
    }

    fn name_servers(&mut self, value: toml::Value) -> Option<Vec<Ipv4Addr>> {
        let servers = into_texts(value).and_then(|texts| read_name_servers(&texts));
        let (key, expected) = ("network.name_servers", "a list of at most 3 addresses");
        servers.or_else(|| self.complain(ProvisionError::Value { key, expected }))
    }

    fn wifi(&mut self) -> Option<Wifi> {
        let toml::Value::Table(mut table) = self.table.remove("wifi")? else {
            let expected = "a table with ssid and passphrase";
            return self.complain(ProvisionError::Value { key: "wifi", expected });
        };
        let ssid = table.remove("ssid");
        let passphrase = table.remove("passphrase");
        self.unknown_in("wifi", &table);
        let Some(ssid) = ssid.and_then(into_text).filter(|ssid| is_ssid(ssid)) else {
            let expected = "1 to 32 bytes of text";
            return self.complain(ProvisionError::Value { key: "wifi.ssid", expected });
        };
        match passphrase.map(|value| into_text(value).filter(|text| is_passphrase(text))) {
            None => Some(Wifi { ssid, passphrase: None }),
            Some(Some(passphrase)) => Some(Wifi { ssid, passphrase: Some(passphrase) }),
            Some(None) => {
                let expected = "8 to 63 printable ASCII characters";
                self.complain(ProvisionError::Value { key: "wifi.passphrase", expected })
            }
        }
    }

    fn unknown_in(&mut self, name: &str, table: &toml::Table) {
        for key in table.keys() {
            let key = shown(&format!("{name}.{key}"));
            self.complaints.push(ProvisionError::UnknownKey { key });
        }
    }

    fn complain<T>(&mut self, error: ProvisionError) -> Option<T> {
        self.complaints.push(error);
        None
    }
}

fn into_text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        _ => None,
    }
}

fn into_texts(value: toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::Array(values) => values.into_iter().map(into_text).collect(),
        _ => None,
    }
}

/// A key as a log line may show it: short and without control characters.
fn shown(key: &str) -> String {
    key.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}
