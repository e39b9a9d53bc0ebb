//! The host's clock as a value. Stages take the time as an argument, so that tests need not sleep.

use std::time::Duration;

/// Nanoseconds since some time before the host started, by a monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// This time and `duration` later; the end of time where that overflows.
    pub fn after(self, duration: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// This time and `duration` earlier; the beginning of time where that was before it.
    pub fn before(self, duration: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero where it is not.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
