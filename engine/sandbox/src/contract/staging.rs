//! Inputs laid out ahead of time, and those kept from one try to the next.

use std::sync::Arc;
use std::time::Duration;

use super::super::{DatumTask, Exit, InputFile};
use super::{Bench, Record, Subject, shell};

/// Larger than the in-memory staging area, and large enough to be kept immediately.
const MODEL_BYTES: usize = 17 << 20;

pub(super) async fn suite(subject: &Subject<'_>) {
    let mut bench = subject.bench().await;
    the_next_try_comes_unseen_while_one_runs(&mut bench).await;
    a_try_that_was_announced_may_be_put_off(&mut bench).await;
    waiting_for_its_turn_is_no_part_of_a_try(&mut bench).await;
    a_large_input_comes_once(&mut bench).await;
    no_try_changes_what_the_next_one_sees(&mut bench).await;
    bench.close().await;
}

fn task(script: &str, inputs: Vec<InputFile>) -> Arc<DatumTask> {
    Arc::new(DatumTask { inputs, ..shell(script) })
}

impl Bench<'_> {
    /// Runs a try while the next one is being received.
    async fn before(&mut self, task: &Arc<DatumTask>, next: &Arc<DatumTask>) -> (Exit, Record) {
        let mut record = Record::default();
        let next = std::future::ready(Some(next.clone()));
        let outcome = self.sandbox.run_before(task, &self.files, &mut record, next).await;
        self.replace_if_spent().await;
        (outcome.expect("the try can be watched").exit, record)
    }

    fn model(&mut self, seed: u32) -> InputFile {
        let mix = |number: u32| (number.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 16) as u8;
        let bytes: Vec<u8> = (0..MODEL_BYTES as u32).map(mix).collect();
        self.files.add("model/weights", bytes)
    }
}

/// Prints everything that a try sees.
const SHOW: &str = "cd /pfs; find . -type f | sort | while read -r f; do md5sum \"$f\"; done; ls -A /pfs";

async fn the_next_try_comes_unseen_while_one_runs(bench: &mut Bench<'_>) {
    let middle: Vec<u8> = (0..600_000_u32).map(|number| (number >> 7) as u8).collect();
    let (small, middle) = (bench.files.add("in/small", "small"), bench.files.add("in/middle", middle));
    let inputs = vec![small, middle, bench.model(1)];
    let alone = bench.good(SHOW, inputs.clone()).await.log();
    let empty = bench.good("ls -A /pfs /tmp /pfs/out", vec![]).await.log();
    let first = task("n=0; while [ $n -lt 20 ]; do ls -A /pfs /tmp /pfs/out; n=$((n+1)); sleep 0.01; done", vec![]);
    let next = task(SHOW, inputs);
    let (exit, record) = bench.before(&first, &next).await;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(record.log(), empty.repeat(20));
    let (exit, record) = bench.before(&next, &first).await;
    assert_eq!((exit, record.log()), (Exit::Code(0), alone));
}

async fn a_try_that_was_announced_may_be_put_off(bench: &mut Bench<'_>) {
    let (one, other) = (bench.files.add("in/one", "one"), bench.files.add("in/other", "other"));
    let (one, other) = (task("cat /pfs/in/*", vec![one]), task("cat /pfs/in/*", vec![other, bench.model(2)]));
    for _ in 0..2 {
        assert_eq!(bench.before(&one, &other).await.1.log(), "one");
        assert_eq!(bench.before(&one, &other).await.1.log(), "one", "another than the one announced");
        assert_eq!(bench.before(&other, &one).await.1.log(), "other");
    }
}

async fn waiting_for_its_turn_is_no_part_of_a_try(bench: &mut Bench<'_>) {
    let input = bench.files.add("in/one", "one");
    let (first, next) = (task("true", vec![]), task("cat /pfs/in/one", vec![input]));
    assert_eq!(bench.before(&first, &next).await.0, Exit::Code(0));
    let wait = Duration::from_secs(1);
    tokio::time::sleep(wait).await;
    let (mut record, nothing) = (Record::default(), std::future::ready(None));
    let outcome = bench.sandbox.run_before(&next, &bench.files, &mut record, nothing).await.expect("it can be watched");
    assert_eq!((&outcome.exit, record.log().as_str()), (&Exit::Code(0), "one"));
    assert!(outcome.pull_time < wait, "{outcome:?}");
}

async fn a_large_input_comes_once(bench: &mut Bench<'_>) {
    let model = bench.model(3);
    let sum = bench.good("md5sum < /pfs/model/weights", vec![model.clone()]).await.log();
    bench.good("[ ! -e /pfs/model ]", vec![]).await;
    let before = bench.files.read_bytes(&model);
    let own = |number: u32, bench: &mut Bench<'_>| {
        let file = bench.files.add(&format!("in/{number}"), number.to_string());
        task("md5sum < /pfs/model/weights; ls /pfs/in", vec![file, model.clone()])
    };
    let mut present = own(0, bench);
    for number in 1..6 {
        let next = own(number, bench);
        let (exit, record) = bench.before(&present, &next).await;
        assert_eq!((exit, record.log()), (Exit::Code(0), format!("{sum}{}\n", number - 1)));
        present = next;
    }
    // Not at all, if it is still where the executor keeps files.
    assert!(bench.files.read_bytes(&model) - before <= MODEL_BYTES as u64, "it was sent once");
}

async fn no_try_changes_what_the_next_one_sees(bench: &mut Bench<'_>) {
    let model = bench.model(4);
    let good = task("md5sum < /pfs/model/weights", vec![model.clone()]);
    let sum = bench.before(&good, &good).await.1.log();
    for change in [
        "echo x >> /pfs/model/weights",
        "chmod u+w /pfs/model/weights; printf x | dd of=/pfs/model/weights conv=notrunc; touch -d @315619200 /pfs/model/weights",
        "chmod u+w /pfs/model; mv /pfs/model/weights /pfs/model/moved; cp /pfs/model/moved /pfs/model/weights",
        "rm -rf /pfs/model",
        "mv /pfs/model /pfs/elsewhere; mkdir /pfs/model; echo x > /pfs/model/weights",
        "(setsid sh -c 'while :; do echo x >> /pfs/model/weights; done' &)",
    ] {
        for end in ["exit 0", "exit 3"] {
            let bad = task(&format!("{{ {change}; }} >/dev/null 2>&1; {end}"), vec![model.clone()]);
            let (exit, _) = bench.before(&bad, &good).await;
            assert!(matches!(exit, Exit::Code(0 | 3) | Exit::TouchedInput { .. }), "{change}: {exit:?}");
            let (exit, record) = bench.before(&good, &bad).await;
            assert_eq!((exit, record.log()), (Exit::Code(0), sum.clone()), "{change}; {end}");
        }
    }
}
