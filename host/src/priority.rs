//! Threads that are not to hold up live traffic.

/// How much such a thread gives way: it gets a tenth of the time of one that judges live traffic, and so still ends where all
/// cores are busy.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets others go before this thread. Elsewhere than on Linux, that would hold for the whole process.
pub(crate) fn give_way() {
    // Where it can't be had, the thread takes its turn like others.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}
