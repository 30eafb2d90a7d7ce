//! The door to the kernel by itself, on socket pairs.

use super::*;

#[test]
fn user_data_holds_kind_generation_and_slot() {
    let key = Key { generation: 0xab_cdef, slot: 0xdead_beef };
    for kind in Kind::ALL {
        let (read, read_key) = Kind::read(kind.user_data(key)).unwrap();
        assert!(read == kind && read_key == key);
    }
    assert!(Kind::read(0).is_none() && Kind::read(u64::MAX).is_none());
}

const KEY: Key = Key { generation: 1, slot: 0 };

fn uring() -> Option<Uring> {
    match Uring::new(4, 2) {
        Ok(uring) => Some(uring),
        Err(error) if error.is_refusal() => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn next(uring: &mut Uring) -> Completion {
    let mut completions = VecDeque::new();
    while completions.is_empty() {
        uring.submit_and_wait(Duration::from_secs(5)).unwrap();
        uring.drain(&mut completions);
    }
    assert_eq!(completions.len(), 1, "{completions:?}");
    completions.pop_front().unwrap()
}

fn data(uring: &mut Uring) -> Filled {
    match next(uring) {
        Completion::Received { key: KEY, outcome: Receive::Data(filled), .. } => filled,
        other => panic!("{other:?} instead of data"),
    }
}

#[test]
fn buffers_are_lent_until_given_back_and_their_lack_ends_the_receive() {
    use std::io::Write as _;
    let Some(mut uring) = uring() else { return };
    uring.receive_cap = 0; // as before 6.17
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    uring.register(KEY, ours.into()).unwrap();
    uring.receive(KEY);
    theirs.write_all(b"one").unwrap();
    let one = data(&mut uring);
    theirs.write_all(b"two").unwrap();
    let two = data(&mut uring);
    theirs.write_all(b"three").unwrap();
    let Completion::Received { outcome: Receive::Starved, armed: false, .. } = next(&mut uring)
    else {
        panic!("not starved")
    };
    assert_eq!((uring.bytes(&one), uring.bytes(&two)), (&b"one"[..], &b"two"[..]));
    uring.give_back(one);
    uring.receive(KEY);
    let three = data(&mut uring);
    assert_eq!((uring.bytes(&three), uring.bytes(&two)), (&b"three"[..], &b"two"[..]));
}

#[test]
fn a_cancelled_receive_says_so_and_a_dropped_ring_with_operations_leaks() {
    let Some(mut uring) = uring() else { return };
    let (ours, theirs) = UnixStream::pair().unwrap();
    uring.register(KEY, ours.into()).unwrap();
    uring.receive(KEY);
    uring.submit_and_wait(Duration::ZERO).unwrap();
    uring.cancel_receive(KEY);
    let mut completions = VecDeque::new();
    while uring.in_flight() > 0 {
        uring.submit_and_wait(Duration::from_secs(5)).unwrap();
        uring.drain(&mut completions);
    }
    let cancelled = |completion: &Completion| match completion {
        Completion::Received { outcome: Receive::Cancelled, armed, .. } => !armed,
        _ => false,
    };
    assert!(completions.len() == 2 && completions.iter().any(cancelled), "{completions:?}");
    uring.receive(KEY);
    uring.send(KEY, Outgoing { bytes: vec![7; 1 << 22], sent: 0 });
    uring.submit_and_wait(Duration::ZERO).unwrap();
    assert!(uring.in_flight() > 0);
    drop(uring);
    drop(theirs);
}
