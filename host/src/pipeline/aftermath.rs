//! What follows a fault in live traffic, beyond its being counted.
//!
//! ```text
//! Incident -> its rule is in quarantine now -> wake whoever can put its last good version back in force
//! ```
//! Nothing here waits: the batch goes on.

use crossbeam_channel::Sender;

use crate::engine::Incident;

/// Follows faults up. Shared by all shards.
#[derive(Clone, Debug)]
pub struct Aftermath {
    wake: Sender<()>,
}

impl Aftermath {
    /// `wake` holds one wake-up: whoever takes it looks at all rules.
    pub fn new(wake: Sender<()>) -> Aftermath {
        Aftermath { wake }
    }

    /// Follows up what went wrong in a batch.
    pub fn follow(&self, incidents: &[Incident]) {
        if incidents.iter().any(|incident| incident.has_opened) {
            // Full: it is awake already. Closed: nobody follows rules here.
            let _ = self.wake.try_send(());
        }
    }
}
