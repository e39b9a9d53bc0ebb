//! The wish to stop, as a value that every task can wait for.

use tokio::sync::watch;

/// Starts the shutdown, by [`Trigger::fire`] or when it is dropped.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Waits for the shutdown to start.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    pub fn new() -> (Trigger, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (Trigger(sender), Shutdown(receiver))
    }

    pub async fn wait(&mut self) {
        // An error says that the trigger is gone, which is a shutdown too.
        let _ = self.0.wait_for(|&fired| fired).await;
    }
}

impl Trigger {
    pub fn fire(&self) {
        self.0.send_replace(true);
    }
}
