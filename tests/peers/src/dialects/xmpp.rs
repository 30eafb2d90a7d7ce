//! XMPP as far as a chat client needs it: in-band registration, PLAIN, binding, presence, one MUC
//! room or direct messages. Sources: RFC 6120, RFC 6121, XEP-0045, XEP-0077, XEP-0199.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use load::{Broken, Dialect, Event, Session, Stamp};

use super::Rooms;
use stanzas::Stanzas;

mod stanzas;

const DOMAIN: &str = "localhost";
const PASSWORD: &str = "bench";

/// Sessions with an XMPP server that lets everybody make an account and needs no TLS.
pub struct Xmpp {
    rooms: Rooms,
    payload_bytes: usize,
}

impl Xmpp {
    /// The big room is a MUC room; pairs and rooms of one's own are direct messages.
    #[must_use]
    pub const fn new(rooms: Rooms, payload_bytes: usize) -> Self {
        Self { rooms, payload_bytes }
    }
}

impl Dialect for Xmpp {
    fn session(&self, index: u32) -> Box<dyn Session> {
        Box::new(XmppSession {
            index,
            is_big: self.rooms.is_big(),
            is_pairs: self.rooms.is_pairs(),
            payload_bytes: self.payload_bytes,
            step: Step::Opening,
            stanzas: Stanzas::default(),
        })
    }

    fn name(&self) -> String {
        "xmpp".to_owned()
    }

    fn acks(&self) -> bool {
        false
    }

    fn echoes(&self) -> bool {
        self.rooms.echoes()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Opening,
    Registering,
    SigningIn,
    Binding,
    Joining,
    Ready,
}

struct XmppSession {
    index: u32,
    is_big: bool,
    is_pairs: bool,
    payload_bytes: usize,
    step: Step,
    stanzas: Stanzas,
}

impl Session for XmppSession {
    fn start(&mut self, out: &mut Vec<u8>) {
        open_stream(out);
    }

    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        self.stanzas.push(input);
        while let Some(stanza) = self.stanzas.next_stanza() {
            let text = String::from_utf8_lossy(&stanza);
            if text.starts_with("<stream:error") {
                return Err(unexpected(&text));
            }
            self.take(&text, out, events)?;
        }
        Ok(())
    }

    fn publish(&mut self, _room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        let to = if self.is_big {
            "big@conference.localhost".to_owned()
        } else {
            let other = if self.is_pairs { self.index ^ 1 } else { self.index };
            format!("u{other}@{DOMAIN}/b")
        };
        let kind = if self.is_big { "groupchat" } else { "chat" };
        let id = stamp.seq;
        let _ = write!(out, "<message to='{to}' type='{kind}' id='m{id}'><body>");
        stamp.write(self.payload_bytes, out);
        out.extend_from_slice(b"</body></message>");
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = write!(
            out,
            "<iq type='get' to='{DOMAIN}' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>"
        );
        true
    }
}

impl XmppSession {
    fn take(
        &mut self,
        text: &str,
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        match self.step {
            Step::Opening if text.starts_with("<stream:features") => self.register(out),
            // An account that exists already is as good as a new one.
            Step::Registering if text.starts_with("<iq") => self.sign_in(out),
            Step::SigningIn if text.starts_with("<success") => {
                self.step = Step::Binding;
                self.stanzas.restart();
                open_stream(out);
            }
            Step::SigningIn => return Err(unexpected(text)),
            Step::Binding if text.starts_with("<stream:features") => bind(out),
            Step::Binding if text.starts_with("<iq") => self.bound(text, out, events)?,
            // 110 is the status of one's own presence: the room has let us in.
            Step::Joining if text.contains("110") => self.ready(events),
            Step::Joining if text.contains("type='error'") => return Err(unexpected(text)),
            Step::Ready => self.take_ready(text, out, events),
            _ => {}
        }
        Ok(())
    }

    fn register(&mut self, out: &mut Vec<u8>) {
        self.step = Step::Registering;
        let _ = write!(
            out,
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>u{}</username>\
             <password>{PASSWORD}</password></query></iq>",
            self.index
        );
    }

    fn sign_in(&mut self, out: &mut Vec<u8>) {
        self.step = Step::SigningIn;
        let secret = STANDARD.encode(format!("\0u{}\0{PASSWORD}", self.index));
        let _ = write!(
            out,
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
        );
    }

    fn bound(
        &mut self,
        text: &str,
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        if !text.contains("<jid>") {
            return Err(unexpected(text));
        }
        out.extend_from_slice(b"<presence/>");
        if self.is_big {
            self.step = Step::Joining;
            let _ = write!(
                out,
                "<presence to='big@conference.localhost/u{}'>\
                 <x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>",
                self.index
            );
        } else {
            self.ready(events);
        }
        Ok(())
    }

    fn ready(&mut self, events: &mut Vec<Event>) {
        self.step = Step::Ready;
        events.push(Event::Ready);
    }

    fn take_ready(&self, text: &str, out: &mut Vec<u8>, events: &mut Vec<Event>) {
        let body = text.split_once("<body>").map(|(_, body)| body);
        if let Some(stamp) = body.and_then(|body| Stamp::read(body.as_bytes())) {
            let room = if self.is_big { 0 } else { stamp.sender / 2 };
            events.push(Event::Delivered { room, stamp });
        } else if text.starts_with("<iq") && text.contains("id='ping'") {
            events.push(Event::Pong);
        } else if text == "<r xmlns='urn:xmpp:sm:3'/>" {
            out.extend_from_slice(b"<a xmlns='urn:xmpp:sm:3' h='0'/>");
        }
    }
}

fn open_stream(out: &mut Vec<u8>) {
    let _ = write!(
        out,
        "<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
}

fn bind(out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
          <resource>b</resource></bind></iq>",
    );
}

fn unexpected(text: &str) -> Broken {
    Broken(format!("the server said: {}", text.chars().take(200).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{fanout_rooms, feed_in_pieces, pairs_rooms};

    const SIGNED_IN: &str = "<?xml version='1.0'?><stream:stream id='1'>\
        <stream:features><a/></stream:features><iq type='result' id='r'/>\
        <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
        <?xml version='1.0'?><stream:stream id='2'><stream:features><bind/></stream:features>\
        <iq type='result' id='b'><bind><jid>u0@localhost/b</jid></bind></iq>";

    fn message(stamp: Stamp) -> String {
        format!("<message from='a'><body>{}</body></message>", stamp.text(40))
    }

    #[test]
    fn a_pair_s_messages_are_found_in_any_pieces() {
        let stamp = Stamp { sender: 4, seq: 9 };
        let pong = "<iq type='result' id='ping'/>";
        let bytes = format!("{SIGNED_IN}<presence from='a'/>{}{pong}", message(stamp));
        let wanted = [Event::Ready, Event::Delivered { room: 2, stamp }, Event::Pong];
        feed_in_pieces(&Xmpp::new(pairs_rooms(), 40), bytes.as_bytes(), &wanted);
    }

    #[test]
    fn a_member_is_ready_when_the_room_let_it_in() {
        let stamp = Stamp { sender: 4, seq: 9 };
        let other = "<presence from='b'><x><item/></x></presence>";
        let own = "<presence from='a'><x><status code='110'/></x></presence>";
        let bytes = format!("{SIGNED_IN}{other}{own}{}", message(stamp));
        let wanted = [Event::Ready, Event::Delivered { room: 0, stamp }];
        feed_in_pieces(&Xmpp::new(fanout_rooms(), 40), bytes.as_bytes(), &wanted);
    }

    #[test]
    fn a_wrong_password_breaks_the_session() {
        let bytes = SIGNED_IN.replace("<success", "<failure");
        let mut session = Xmpp::new(pairs_rooms(), 40).session(0);
        let taken = session.receive(bytes.as_bytes(), &mut Vec::new(), &mut Vec::new());
        assert!(taken.is_err());
    }
}
