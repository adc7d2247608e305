//! How many datums run at the same time, over all jobs: each needs a slot.
//!
//! Slots are granted in the order of requests, and a worker makes one request per datum, so a job with many datums never delays a job with
//! few by more than one round. While slots are held none is granted: running datums finish, the others wait. Once shut, none is ever
//! granted again.
//!
//! Their number can change: of machines that join and go. Taken slots of which there are too many are not granted again.

use tokio::sync::{Semaphore, watch};

/// Whether slots are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Not now: the disk is full.
    Held,
    /// Never again: the engine is ending.
    Shut,
}

/// The slots that are not free.
#[derive(Debug, Default)]
struct Count {
    /// How many slots there are.
    limit: usize,
    /// How many are taken.
    taken: usize,
    /// How many that are taken, or about to be, will not come back.
    surplus: usize,
}

/// A slot for each datum that may run at the same time.
#[derive(Debug)]
pub(crate) struct DatumSlots {
    free: Semaphore,
    count: watch::Sender<Count>,
    gate: watch::Sender<Gate>,
}

/// A taken slot; dropping it returns it.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a DatumSlots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.put_back();
    }
}

impl DatumSlots {
    /// Open, with `limit` slots.
    pub(crate) fn new(limit: usize) -> Self {
        let (count, gate) = (watch::Sender::default(), watch::Sender::new(Gate::Open));
        let slots = Self { free: Semaphore::new(0), count, gate };
        slots.set_limit(limit);
        slots
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> usize {
        self.count.borrow().limit
    }

    /// Changes how many there are. If more are taken, their datums finish.
    pub(crate) fn set_limit(&self, limit: usize) {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        self.count.send_if_modified(|count| {
            let before = std::mem::replace(&mut count.limit, limit);
            let more = limit.saturating_sub(before);
            let kept = more.min(count.surplus);
            self.free.add_permits(more - kept);
            let fewer = before.saturating_sub(limit);
            let gone = self.free.forget_permits(fewer);
            count.surplus = count.surplus - kept + fewer - gone;
            limit != before
        });
    }

    /// Waits until there are more slots than this; returns how many there are.
    pub(crate) async fn more_than(&self, limit: usize) -> usize {
        let mut count = self.count.subscribe();
        count.wait_for(|count| count.limit > limit).await.expect("the sender is in `self`").limit
    }

    /// Waits for a slot.
    pub(crate) async fn take(&self) -> Slot<'_> {
        self.count_in().await;
        Slot(self)
    }

    /// Gives a taken slot to others while something is awaited.
    pub(crate) async fn lend<T>(&self, awaited: impl Future<Output = T>) -> T {
        self.put_back();
        let mut lent = Lent { slots: self, is_back: false };
        let done = awaited.await;
        self.count_in().await;
        lent.is_back = true;
        done
    }

    /// Waits until a slot is free, and counts it as taken.
    async fn count_in(&self) {
        let mut gate = self.gate.subscribe();
        loop {
            gate.wait_for(|gate| *gate == Gate::Open).await.expect("the sender is in `self`");
            self.free.acquire().await.expect("it is never closed").forget();
            self.count.send_if_modified(|count| {
                count.taken += 1;
                // Nobody waits for that.
                false
            });
            // While this request waited, the gate may have closed, or slots may have gone.
            if *gate.borrow() == Gate::Open && self.count.borrow().surplus == 0 {
                return;
            }
            self.put_back();
        }
    }

    fn put_back(&self) {
        self.count.send_if_modified(|count| {
            count.taken -= 1;
            if count.surplus > 0 {
                count.surplus -= 1;
            } else {
                self.free.add_permits(1);
            }
            // Nobody waits for a number in between.
            count.taken == 0
        });
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
        let mut count = self.count.subscribe();
        count.wait_for(|count| count.taken == 0).await.expect("the sender is in `self`");
    }
}

/// A slot that others have meanwhile. If its owner gives up, it has a slot to return, whether there is one or not.
#[derive(Debug)]
struct Lent<'a> {
    slots: &'a DatumSlots,
    is_back: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.is_back {
            self.slots.count.send_modify(|count| {
                count.taken += 1;
                count.surplus += 1 - self.slots.free.forget_permits(1);
            });
        }
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

    #[test]
    fn slots_that_are_added_are_given_at_once() {
        let slots = DatumSlots::new(0);
        let (mut first, mut second) = (pin!(slots.take()), pin!(slots.take()));
        assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
        let mut more = pin!(slots.more_than(1));
        slots.set_limit(1);
        let held = poll(first.as_mut()).unwrap();
        assert!(poll(second.as_mut()).is_none() && poll(more.as_mut()).is_none());
        slots.set_limit(3);
        assert_eq!((poll(more.as_mut()), slots.limit()), (Some(3), 3));
        assert!(poll(second.as_mut()).is_some());
        drop(held);
    }

    #[test]
    fn slots_that_are_too_many_are_not_given_again() {
        let slots = DatumSlots::new(3);
        let (one, two, three) =
            (poll(pin!(slots.take())).unwrap(), poll(pin!(slots.take())).unwrap(), poll(pin!(slots.take())).unwrap());
        slots.set_limit(1);
        let mut waits = pin!(slots.take());
        for taken in [one, two] {
            drop(taken);
            assert!(poll(waits.as_mut()).is_none(), "one is taken, and there is one");
        }
        let mut all_back = pin!(slots.all_back());
        assert!(poll(all_back.as_mut()).is_none());
        drop(three);
        assert!(poll(all_back.as_mut()).is_some());
        let held = poll(waits.as_mut()).unwrap();
        assert!(poll(pin!(slots.take())).is_none());
        // Before it comes back, there are none, and then two.
        slots.set_limit(0);
        slots.set_limit(2);
        let other = poll(pin!(slots.take())).unwrap();
        assert!(poll(pin!(slots.take())).is_none());
        drop((held, other));
        slots.shut();
        slots.set_limit(9);
        assert!(poll(pin!(slots.take())).is_none() && poll(pin!(slots.all_back())).is_some());
    }

    #[test]
    fn a_slot_that_is_on_its_way_when_slots_go_is_not_given() {
        let slots = DatumSlots::new(1);
        let held = poll(pin!(slots.take())).unwrap();
        let mut waits = pin!(slots.take());
        assert!(poll(waits.as_mut()).is_none());
        drop(held);
        slots.set_limit(0);
        assert!(poll(waits.as_mut()).is_none());
        slots.set_limit(1);
        assert!(poll(waits.as_mut()).is_some());
    }

    #[test]
    fn a_lent_slot_is_used_by_others_and_comes_back() {
        let slots = DatumSlots::new(1);
        let held = poll(pin!(slots.take())).unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut lent = Box::pin(slots.lend(told));
        assert!(poll(lent.as_mut()).is_none());
        let other = poll(pin!(slots.take())).unwrap();
        tell.send(7).unwrap();
        assert!(poll(lent.as_mut()).is_none(), "another has it");
        drop(other);
        assert_eq!(poll(lent.as_mut()), Some(Ok(7)));
        // Its owner gives up while it is lent, and while another has it.
        let mut lent = Box::pin(slots.lend(std::future::pending::<()>()));
        assert!(poll(lent.as_mut()).is_none());
        let other = poll(pin!(slots.take())).unwrap();
        drop(lent);
        drop(held);
        assert!(poll(pin!(slots.take())).is_none(), "there is one, and it is taken");
        drop(other);
        assert!(poll(pin!(slots.all_back())).is_some() && poll(pin!(slots.take())).is_some());
    }
}
