//! Says which of the host's own threads ended by a panic. Whatever it did is not done any more, and only a restart mends that:
//! health and readiness say so, with its name.

use std::sync::{Arc, OnceLock};
use std::thread;

/// Rung by the first of some threads that ends by a panic. Clones are one alarm.
#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<OnceLock<String>>);

/// Held by a thread for as long as it runs.
#[derive(Debug)]
#[must_use = "the thread is watched for as long as it has this"]
pub struct Watch(Alarm);

impl Alarm {
    /// Watches this thread.
    pub fn watch(&self) -> Watch {
        Watch(self.clone())
    }

    /// The name of the thread that ended; none while all is well.
    pub fn rung(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            let thread = thread::current();
            let name = thread.name().unwrap_or("without a name").to_owned();
            // Where another was first, that one is told.
            let _ = self.0.0.set(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(alarm: &Alarm, name: &str, work: fn()) {
        let watched = alarm.clone();
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            let _watch = watched.watch();
            work();
        });
        let _ = thread.expect("it starts").join();
    }

    #[test]
    fn the_first_thread_that_ends_by_a_panic_is_named() {
        let alarm = Alarm::default();
        run(&alarm, "well", || {});
        assert_eq!(alarm.rung(), None);
        run(&alarm, "broken", || panic!("a bug"));
        run(&alarm, "later", || panic!("another"));
        assert_eq!(alarm.rung(), Some("broken"));
    }
}
