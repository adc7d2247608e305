//! Follows a job to its end, as a server that streams its output.

use std::sync::{Arc, Mutex, mpsc};

use super::flow::UPPER;
use super::setting::{Setting, copy};
use engine::feed::Heard;
use engine::follow::{Following, Look, Whereabouts, whereabouts};
use engine::{EngineError, Selection};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_hears_all_that_a_job_prints_and_when_it_ends() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    let job = s.job("upper");
    // No datum ends before the job is followed.
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let engine = s.engine(move |call| {
        wait.lock().unwrap().recv().ok();
        copy(call)
    });
    let engine = Arc::new(engine.await);
    assert!(matches!(whereabouts(&engine, &job).unwrap(), Whereabouts::NotYet));
    let running = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run(Selection::All).await.map(drop) }
    });
    let followed = tokio::task::spawn_blocking({
        let (engine, job) = (engine.clone(), job.clone());
        move || {
            let feed = loop {
                match whereabouts(&engine, &job).unwrap() {
                    Whereabouts::Running(feed) => break feed,
                    Whereabouts::NotYet => std::thread::yield_now(),
                    Whereabouts::Ended => panic!("nobody let it end"),
                }
            };
            let mut following = Following::new(&engine, &job, feed);
            drop(go);
            let (mut printed, mut over) = (Vec::new(), 0);
            loop {
                let look = following.look(|heard| {
                    match heard {
                        Heard::Printed(piece) => printed.extend(piece.bytes),
                        Heard::Over(_, result) => over += u32::from(result.is_some()),
                        Heard::Ended(_) => over += 1,
                    }
                    Ok::<(), EngineError>(())
                });
                match look.unwrap() {
                    Look::Over => break,
                    Look::News => {}
                    Look::Nothing { .. } => std::thread::yield_now(),
                }
            }
            (String::from_utf8(printed).unwrap(), over)
        }
    });
    let (printed, over) = followed.await.unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(over, 2, "{printed}");
    assert!(matches!(whereabouts(&engine, &job).unwrap(), Whereabouts::Ended));

    s.put("images", [("/c", Some("3"))]);
    engine.end();
    let error = whereabouts(&engine, &s.job("upper")).unwrap_err();
    let run = s.job("upper").run.short(8);
    assert_eq!(error.to_string(), format!("job upper@{run} has not ended, and nothing runs it"));
    assert_eq!((error.kind(), error.hint().is_some()), (specs::ErrorKind::Unavailable, true));
}
