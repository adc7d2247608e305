//! Turns: how many datums run at a time, over all jobs.
//!
//! Anyone who waits longest comes next, and each worker waits once a datum; so a job of many datums cannot keep one of few waiting for
//! longer than a round. While the turns are closed nobody gets one: those that run finish, the others wait.

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// One turn for each datum that may run.
#[derive(Debug)]
pub(crate) struct Turns {
    limit: u32,
    free: Semaphore,
    is_open: watch::Sender<bool>,
}

impl Turns {
    /// Open, for `limit` datums at a time.
    pub(crate) fn new(limit: usize) -> Self {
        let limit =
            u32::try_from(limit).unwrap_or(u32::MAX).min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self { limit, free: Semaphore::new(limit as usize), is_open: watch::Sender::new(true) }
    }

    /// Waits for a turn, which ends when it is dropped.
    pub(crate) async fn take(&self) -> SemaphorePermit<'_> {
        let mut is_open = self.is_open.subscribe();
        loop {
            is_open.wait_for(|is_open| *is_open).await.expect("the sender is in `self`");
            let turn = self.free.acquire().await.expect("it is never closed for good");
            // They may have been closed while this one waited.
            if *is_open.borrow() {
                return turn;
            }
        }
    }

    /// Gives no more turns.
    pub(crate) fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Gives turns again.
    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Whether turns are given.
    pub(crate) fn is_open(&self) -> bool {
        *self.is_open.borrow()
    }

    /// Waits until nobody has a turn.
    pub(crate) async fn all_back(&self) {
        drop(self.free.acquire_many(self.limit).await.expect("it is never closed for good"));
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::Turns;

    /// Whether it is ready now.
    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn whoever_waits_longest_comes_next() {
        let turns = Turns::new(1);
        let held = poll(pin!(turns.take())).unwrap();
        let (mut first, mut second) = (pin!(turns.take()), pin!(turns.take()));
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
        let turns = Turns::new(2);
        let (one, two) = (poll(pin!(turns.take())).unwrap(), poll(pin!(turns.take())).unwrap());
        let mut waits = pin!(turns.take());
        assert!(poll(waits.as_mut()).is_none());
        turns.close();
        let mut all_back = pin!(turns.all_back());
        drop(one);
        assert!(poll(waits.as_mut()).is_none(), "there is one, but they are closed");
        assert!(poll(all_back.as_mut()).is_none(), "one is still held");
        drop(two);
        assert!(poll(all_back.as_mut()).is_some());
        assert!(poll(waits.as_mut()).is_none());
        turns.open();
        assert!(poll(waits.as_mut()).is_some());
    }
}
