//! Following live output: every byte once.

use std::sync::Arc;

use repos::documents::Try;
use repos::{Store, Timestamp};
use specs::{DatumId, Digest};

use super::log::SharedLog;
use super::{AtWork, Feed, Follower, Heard};

struct Followed {
    store: Store,
    feed: Arc<Feed>,
    _folder: tempfile::TempDir,
}

fn place() -> Followed {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::init(folder.path(), "main".parse().unwrap()).unwrap();
    let feed = Arc::<Feed>::default();
    feed.begin(Timestamp::from_micros(1000));
    Followed { store, feed, _folder: folder }
}

fn digest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

impl Followed {
    fn begin(&self, number: u8) -> AtWork {
        AtWork::begin(&self.feed, DatumId::new(digest(number)))
    }

    /// A try begins; the test then prints to the log.
    fn try_of(at_work: &AtWork, max: usize) -> SharedLog {
        let log = SharedLog::new(max);
        at_work.printing().prints_to(&log);
        log
    }

    fn end_try(&self, at_work: &AtWork, log: &SharedLog, code: i32) {
        let kept = Some(self.store.put_log(&log.to_bytes()).unwrap());
        let now = Timestamp::from_micros(2000);
        let tried = Try {
            exit_code: Some(code),
            reason: None,
            log: kept,
            started_at: now,
            finished_at: now,
            pull_ms: None,
            take_in_ms: None,
            memory_bytes: None,
            worker: None,
        };
        at_work.printing().stored(&tried, log);
    }

    /// What one look reports, as text.
    fn look(&self, follower: &mut Follower) -> (Vec<String>, bool) {
        let mut heard = Vec::new();
        let goes_on = follower.look::<repos::RepoError>(&self.store, |one| {
            heard.push(match one {
                Heard::Printed(piece) => {
                    let text = String::from_utf8(piece.bytes).unwrap();
                    let end = piece.end.map_or_else(String::new, |end| format!(" ends {}", end.exit_code.unwrap()));
                    let skipped =
                        if piece.skipped_bytes > 0 { format!("-{} ", piece.skipped_bytes) } else { String::new() };
                    format!("{}.{} {skipped}{text:?}{end}", piece.number, piece.try_number)
                }
                Heard::Ended(result) => format!("ended {}", result.as_bytes()[0]),
                Heard::Over(number, result) => format!("over {number} {:?}", result.map(|one| one.as_bytes()[0])),
            });
            Ok(())
        });
        (heard, goes_on.unwrap())
    }
}

#[test]
fn a_follower_hears_what_was_before_it_and_what_comes_once() {
    let place = place();
    let gone = place.begin(1);
    let log = Followed::try_of(&gone, 100);
    log.push(b"early\n");
    place.end_try(&gone, &log, 0);
    gone.ended(digest(11));
    let one = place.begin(2);
    let log = Followed::try_of(&one, 100);
    log.push(b"half a ");
    let mut follower = place.feed.follow();
    assert_eq!(place.look(&mut follower), (vec!["ended 11".to_owned(), "2.1 \"half a \"".to_owned()], true));
    assert_eq!(place.look(&mut follower), (vec![], true));
    // All of this happens between two looks: the rest of a try, one that ends immediately, and a datum that begins and ends.
    log.push(b"line\nlast words");
    place.end_try(&one, &log, 1);
    let log = Followed::try_of(&one, 100);
    log.push(b"again\n");
    place.end_try(&one, &log, 0);
    one.ended(digest(12));
    let quick = place.begin(3);
    let log = Followed::try_of(&quick, 100);
    place.end_try(&quick, &log, 0);
    quick.ended(digest(13));
    place.feed.end();
    let heard = ["2.1 \"line\\nlast words\" ends 1", "2.2 \"again\\n\" ends 0", "over 2 Some(12)", "ended 13"];
    assert_eq!(place.look(&mut follower), (heard.map(str::to_owned).to_vec(), false));
    let mut late = place.feed.follow();
    assert_eq!(place.look(&mut late), (["ended 11", "ended 12", "ended 13"].map(str::to_owned).to_vec(), false));
}

#[test]
fn a_datum_is_always_at_work_or_ended_whenever_somebody_looks() {
    let place = place();
    let mut follower = place.feed.follow();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..200_u8 {
                let at_work = place.begin(number);
                let log = Followed::try_of(&at_work, 1000);
                for piece in 0..5 {
                    log.push(format!("{number}:{piece}\n").as_bytes());
                }
                place.end_try(&at_work, &log, 0);
                at_work.ended(digest(number));
            }
            place.feed.end();
        });
        let mut printed = std::collections::BTreeMap::<u64, String>::new();
        let mut ended = Vec::new();
        loop {
            let goes_on = follower.look::<repos::RepoError>(&place.store, |heard| {
                match heard {
                    Heard::Printed(piece) => {
                        assert_eq!(piece.skipped_bytes, 0);
                        printed.entry(piece.number).or_default().push_str(&String::from_utf8(piece.bytes).unwrap());
                    }
                    Heard::Ended(result) => ended.push(u64::from(result.as_bytes()[0]) + 1),
                    Heard::Over(..) => {}
                }
                Ok(())
            });
            if !goes_on.unwrap() {
                break;
            }
        }
        for number in 1..=200_u64 {
            let text = (0..5).map(|piece| format!("{}:{piece}\n", number - 1)).collect::<Vec<_>>().concat();
            let times = ended.iter().filter(|other| **other == number).count();
            match printed.get(&number) {
                Some(printed) => assert_eq!((printed, times), (&text, 0), "datum {number}"),
                None => assert_eq!(times, 1, "datum {number}"),
            }
        }
    });
}

#[test]
fn a_slow_follower_is_told_how_much_it_missed_and_holds_nobody_up() {
    let place = place();
    let mut follower = place.feed.follow();
    let one = place.begin(1);
    let log = Followed::try_of(&one, 20);
    log.push(b"0123");
    assert_eq!(place.look(&mut follower).0, ["1.1 \"0123\""]);
    for _ in 0..1_000_000 {
        log.push(b"abcdefghij");
    }
    assert_eq!(log.read().shape().total, 10_000_004, "all of it was printed, and 20 bytes are kept");
    assert_eq!(place.look(&mut follower).0, ["1.1 \"abcdef\""], "the rest of the head");
    assert_eq!(place.look(&mut follower).0, ["1.1 -9999984 \"abcdefghij\""]);
    log.push(b"the end");
    place.end_try(&one, &log, 0);
    one.ended(digest(9));
    place.feed.end();
    assert_eq!(
        place.look(&mut follower),
        (vec!["1.1 \"the end\" ends 0".to_owned(), "over 1 Some(9)".to_owned()], false)
    );
}

#[test]
fn what_was_missed_of_a_try_that_has_ended_is_told_too() {
    for (read, expected) in [
        ("0123", "1.1 \"abcdef\\n… 9999990 bytes omitted …\\nabcdefghij\" ends 0"),
        ("0123abcdef", "1.1 -9999990 \"abcdefghij\" ends 0"),
        ("0123abcdefghij", "1.1 -9999990 \"abcdefghij\" ends 0"),
    ] {
        let place = place();
        let mut follower = place.feed.follow();
        let one = place.begin(1);
        let log = Followed::try_of(&one, 20);
        log.push(read.as_bytes());
        while !place.look(&mut follower).0.is_empty() {}
        log.push(&b"0123abcdef"[read.len().min(10)..]);
        for _ in 0..1_000_000 {
            log.push(b"abcdefghij");
        }
        place.end_try(&one, &log, 0);
        one.ended(digest(9));
        place.feed.end();
        assert_eq!(
            place.look(&mut follower),
            (vec![expected.to_owned(), "over 1 Some(9)".to_owned()], false),
            "{read}"
        );
    }
}

#[test]
fn a_try_that_begins_again_in_another_sandbox_goes_on_where_its_log_does() {
    let place = place();
    let mut follower = place.feed.follow();
    let one = place.begin(1);
    let log = SharedLog::new(100);
    let lost = log.fork();
    one.printing().prints_to(&lost);
    lost.push(b"in the lost one\n");
    place.look(&mut follower);
    let second = log.fork();
    one.printing().prints_to(&second);
    second.push(b"in the next\n");
    assert_eq!(place.look(&mut follower).0, ["1.1 \"in the next\\n\""]);
    // The error command prints to the end of the last try's log.
    let third = second.fork();
    one.printing().prints_to(&third);
    third.push(b"cleaned up\n");
    assert_eq!(place.look(&mut follower).0, ["1.1 \"cleaned up\\n\""]);
    drop(one);
    place.feed.end();
    assert_eq!(place.look(&mut follower), (vec!["over 1 None".to_owned()], false), "it came to nothing");
}

#[test]
fn results_of_an_engine_before_are_told_once() {
    let place = place();
    let mut follower = place.feed.follow();
    place.feed.found(digest(1), Timestamp::from_micros(900));
    place.feed.found(digest(2), Timestamp::from_micros(1100));
    place.feed.begin(Timestamp::from_micros(5000));
    assert_eq!(place.look(&mut follower).0, ["ended 1"], "the other was told of when it ended here");
}
