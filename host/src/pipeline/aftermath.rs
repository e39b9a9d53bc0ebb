//! What follows a fault in live traffic, beyond its being counted.
//!
//! ```text
//! Incident -> its rule is in quarantine now -> wake whoever can put its last good version back in force
//!         `-> the call, to be repeated elsewhere -> Bundles
//! ```
//! Nothing here waits: the batch goes on.

use crossbeam_channel::Sender;

use crate::assemble::trace::{Requests, Trace};
use crate::engine::{Incident, RuleSet};
use crate::replay::bundle::keeper::Bundles;
use crate::time::Time;

/// Follows faults up. Shared by all shards.
#[derive(Clone, Debug)]
pub struct Aftermath {
    wake: Sender<()>,
    bundles: Option<Bundles>,
}

impl Aftermath {
    /// `wake` holds one wake-up: whoever takes it looks at all rules. Without `bundles` no call is kept.
    pub fn new(wake: Sender<()>, bundles: Option<Bundles>) -> Aftermath {
        Aftermath { wake, bundles }
    }

    /// Follows up what went wrong in a batch of `traces`; `when` is now, by the host's clock and in Unix nanoseconds.
    pub fn follow<R: Requests>(
        &self,
        incidents: &[Incident],
        set: &RuleSet,
        traces: &[Trace],
        requests: &R,
        when: (Time, u64),
    ) {
        if let Some(bundles) = &self.bundles {
            for incident in incidents {
                bundles.offer(incident, set, traces, requests, when);
            }
        }
        if incidents.iter().any(|incident| incident.has_opened) {
            // Full: it is awake already. Closed: nobody follows rules here.
            let _ = self.wake.try_send(());
        }
    }
}
