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
        uring.drain(&mut completions).unwrap();
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
        uring.drain(&mut completions).unwrap();
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

/// A pair whose sending side takes a few thousand bytes.
fn narrow(uring: &mut Uring) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    sockopt::set_socket_send_buffer_size(&ours, 4096).unwrap();
    uring.register(KEY, ours.into()).unwrap();
    theirs
}

fn stage(uring: &mut Uring, bytes: &[u8], wants_word: bool) {
    uring.staging().append(bytes);
    let source = uring.staging().finish().unwrap();
    uring.send_now(KEY, source, wants_word);
}

#[test]
fn a_send_at_once_is_over_with_its_submission_and_says_so_only_when_asked() {
    let Some(mut uring) = uring() else { return };
    let _theirs = narrow(&mut uring);
    let mut completions = VecDeque::new();
    stage(&mut uring, b"quiet", false);
    uring.submit_now(&mut completions).unwrap();
    assert!(completions.is_empty() && uring.is_settled() && uring.in_flight() == 0);
    stage(&mut uring, b"told", true);
    assert!(!uring.is_settled());
    uring.submit_and_wait(Duration::from_secs(5)).unwrap();
    uring.drain(&mut completions).unwrap();
    assert!(matches!(completions.pop_front(), Some(Completion::SentNow { key: KEY })));
}

#[test]
fn what_a_socket_does_not_take_at_once_comes_back_byte_for_byte() {
    use std::io::Read as _;
    let Some(mut uring) = uring() else { return };
    let mut theirs = narrow(&mut uring);
    let sent: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
    stage(&mut uring, &sent, true);
    let mut completions = VecDeque::new();
    uring.submit_now(&mut completions).unwrap();
    let Some(Completion::Short { key: KEY, rest, outcome: Ok(()) }) = completions.pop_front()
    else {
        panic!("{completions:?}")
    };
    assert!(completions.is_empty() && rest.len() < sent.len(), "{} are left", rest.len());
    let mut taken = vec![0; sent.len() - rest.len()];
    theirs.read_exact(&mut taken).unwrap();
    assert_eq!(
        (taken, rest.as_slice()),
        (sent[..sent.len() - rest.len()].to_vec(), &sent[sent.len() - rest.len()..])
    );
    drop(theirs);
    stage(&mut uring, &rest, true);
    uring.submit_now(&mut completions).unwrap();
    let gone = completions.pop_front();
    assert!(matches!(gone, Some(Completion::Short { outcome: Err(libc::EPIPE), .. })), "{gone:?}");
}
