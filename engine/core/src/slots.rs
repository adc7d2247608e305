//! How many datums run at a time, over all jobs: each needs a slot.
//!
//! Slots are given in the order of asking, and a worker asks once for each datum; so a job of many datums never keeps a job of few waiting
//! longer than one round. While the slots are closed none is given: datums that run finish, the others wait.

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// A slot for each datum that may run at the same time.
#[derive(Debug)]
pub(crate) struct DatumSlots {
    limit: u32,
    free: Semaphore,
    is_open: watch::Sender<bool>,
}

impl DatumSlots {
    /// Open, for `limit` datums at a time.
    pub(crate) fn new(limit: usize) -> Self {
        let limit =
            u32::try_from(limit).unwrap_or(u32::MAX).min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self { limit, free: Semaphore::new(limit as usize), is_open: watch::Sender::new(true) }
    }

    /// Waits for a slot; dropping it gives it back.
    pub(crate) async fn take(&self) -> SemaphorePermit<'_> {
        let mut is_open = self.is_open.subscribe();
        loop {
            is_open.wait_for(|is_open| *is_open).await.expect("the sender is in `self`");
            let slot = self.free.acquire().await.expect("it is never closed for good");
            // The slots may have been closed while this one waited.
            if *is_open.borrow() {
                return slot;
            }
        }
    }

    /// Stops giving slots.
    pub(crate) fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Gives slots again.
    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Whether slots are given.
    pub(crate) fn is_open(&self) -> bool {
        *self.is_open.borrow()
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

    /// Whether it is ready now.
    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn whoever_waits_longest_comes_next() {
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
    fn closed_turns_let_those_finish_who_have_one_and_nobody_else_begin() {
        let slots = DatumSlots::new(2);
        let (one, two) = (poll(pin!(slots.take())).unwrap(), poll(pin!(slots.take())).unwrap());
        let mut waits = pin!(slots.take());
        assert!(poll(waits.as_mut()).is_none());
        slots.close();
        let mut all_back = pin!(slots.all_back());
        drop(one);
        assert!(poll(waits.as_mut()).is_none(), "there is one, but they are closed");
        assert!(poll(all_back.as_mut()).is_none(), "one is still held");
        drop(two);
        assert!(poll(all_back.as_mut()).is_some());
        assert!(poll(waits.as_mut()).is_none());
        slots.open();
        assert!(poll(waits.as_mut()).is_some());
    }
}
