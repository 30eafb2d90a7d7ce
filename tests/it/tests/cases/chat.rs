//! The path of the product: claim, accounts, two people chat through every door.

use linnet_it::person::{Person, next_message, whole_history};
use linnet_it::process::Linnetd;
use linnet_it::session::Door;
use wire::ids::Seq;

#[test]
fn two_people_chat_through_every_door() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let mut ben = ann.add(&server, "ben");
    for door in [Door::Json, Door::Binary, Door::Native] {
        let (mut at_ann, _) = ann.enter(&server, door);
        let (mut at_ben, _) = ben.enter(&server, door);
        let room = ann.open_direct(&mut at_ann, ben.user);
        let ack = ann.say(&mut at_ann, room, "Guten Tag, 你好");
        let message = next_message(&mut at_ben, room);
        assert_eq!((message.seq, message.offset), (ack.seq, ack.offset));
        assert_eq!((message.author, message.text.as_str()), (ann.user, "Guten Tag, 你好"));
        ben.say(&mut at_ben, room, "你好");
        assert_eq!(next_message(&mut at_ann, room).text, "你好");
    }
}

#[test]
fn the_past_is_paged_and_ends_at_its_first_message() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Binary);
    let room = ann.create_room(&mut session, "class", &[ben.user]);
    for number in 1..=450 {
        ann.say(&mut session, room, &format!("message {number}"));
    }
    let mut ben = Person::login(&server, "ben");
    let (mut session, _) = ben.enter(&server, Door::Json);
    let (messages, damaged) = whole_history(&mut session, room);
    assert_eq!(damaged, 0);
    assert_eq!(messages.len(), 450);
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message.seq, Seq(index as u64 + 1));
        assert_eq!(message.text, format!("message {}", index + 1));
    }
}
