//! How many datums run at the same time, over all jobs: each needs a slot.
//!
//! Slots are granted in the order of requests, and a worker makes one request per datum, so a job with many datums never delays a job with
//! few by more than one round. While slots are held none is granted: running datums finish, the others wait. Once shut, none is ever
//! granted again.

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Whether slots are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Not now: the disk is full.
    Held,
    /// Never again: the engine is ending.
    Shut,
}

/// A slot for each datum that may run at the same time.
#[derive(Debug)]
pub(crate) struct DatumSlots {
    limit: u32,
    free: Semaphore,
    gate: watch::Sender<Gate>,
}

impl DatumSlots {
    /// Open, with `limit` slots.
    pub(crate) fn new(limit: usize) -> Self {
        let limit =
            u32::try_from(limit).unwrap_or(u32::MAX).min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self { limit, free: Semaphore::new(limit as usize), gate: watch::Sender::new(Gate::Open) }
    }

    /// Waits for a slot; dropping it returns it.
    pub(crate) async fn take(&self) -> SemaphorePermit<'_> {
        let mut gate = self.gate.subscribe();
        loop {
            gate.wait_for(|gate| *gate == Gate::Open).await.expect("the sender is in `self`");
            let slot = self.free.acquire().await.expect("it is never closed for good");
            // The gate may have closed while this request waited.
            if *gate.borrow() == Gate::Open {
                return slot;
            }
        }
    }

    /// Grants no slots until they are [released](Self::release); false if they were held already.
    pub(crate) fn hold(&self) -> bool {
        self.turn(Gate::Open, Gate::Held)
    }

    /// Grants held slots again; false if they were not held.
    pub(crate) fn release(&self) -> bool {
        self.turn(Gate::Held, Gate::Open)
    }

    /// Grants no more slots.
    pub(crate) fn shut(&self) {
        self.gate.send_replace(Gate::Shut);
    }

    fn turn(&self, from: Gate, to: Gate) -> bool {
        self.gate.send_if_modified(|gate| *gate == from && std::mem::replace(gate, to) == from)
    }

    /// Whether slots are given.
    pub(crate) fn is_open(&self) -> bool {
        *self.gate.borrow() == Gate::Open
    }

    /// Waits until every slot is back.
    pub(crate) async fn all_back(&self) {
        drop(self.free.acquire_many(self.limit).await.expect("it is never closed for good"));
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::DatumSlots;

    /// The value, if it is ready now.
    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn slots_are_given_in_the_order_of_asking() {
        let slots = DatumSlots::new(1);
        let held = poll(pin!(slots.take())).unwrap();
        let (mut first, mut second) = (pin!(slots.take()), pin!(slots.take()));
        assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
        drop(held);
        assert!(poll(second.as_mut()).is_none(), "it came later");
        let held = poll(first.as_mut()).unwrap();
        assert!(poll(second.as_mut()).is_none());
        drop(held);
        assert!(poll(second.as_mut()).is_some());
    }

    #[test]
    fn held_slots_let_running_datums_finish_and_no_other_begin() {
        let slots = DatumSlots::new(2);
        let (one, two) = (poll(pin!(slots.take())).unwrap(), poll(pin!(slots.take())).unwrap());
        let mut waits = pin!(slots.take());
        assert!(poll(waits.as_mut()).is_none());
        assert!(slots.hold() && !slots.hold());
        let mut all_back = pin!(slots.all_back());
        drop(one);
        assert!(poll(waits.as_mut()).is_none(), "there is one, but they are held");
        assert!(poll(all_back.as_mut()).is_none(), "one is still held");
        drop(two);
        assert!(poll(all_back.as_mut()).is_some());
        assert!(poll(waits.as_mut()).is_none());
        assert!(slots.release() && !slots.release());
        assert!(poll(waits.as_mut()).is_some());
        slots.shut();
        assert!(!slots.release() && !slots.hold());
        assert!(poll(pin!(slots.take())).is_none(), "they are shut for good");
    }
}
